"""Run upstream's fuse kernel on the CPU, in Triton's interpreter, as launched for capabilities.

    python -m tests.upstream.patches.interpreted_fuse IN OUT MAJOR.MINOR.SEED...

Run with TRITON_INTERPRET=1. Both files are safetensors: IN holds `weight` (fp8) and `delta` (bf16)
of one shape; OUT gets, by the number of each launch ("0", "1", ...), what it fused (bf16), before
the cast back to fp8. A process of its own, since Triton decides at its first import whether it
interprets.
"""

import sys

import torch
from safetensors.torch import load_file, save_file

from verify.campaigns.fp8_fuse import launch


def main(source: str, target: str, *launches: str) -> None:
    given, fused = load_file(source), {}
    capability = (0, 0)
    torch.cuda.get_device_capability = lambda device=None: capability
    for at, words in enumerate(launches):
        major, minor, seed = map(int, words.split("."))
        capability = (major, minor)
        fused[str(at)] = launch(given["delta"].clone(), given["weight"], seed)
    save_file(fused, target)


if __name__ == "__main__":
    main(*sys.argv[1:])

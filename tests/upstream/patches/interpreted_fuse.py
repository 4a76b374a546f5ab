"""Run upstream's fuse kernel on the CPU, in Triton's interpreter, as launched for some capability.

    python -m tests.upstream.patches.interpreted_fuse MAJOR MINOR SEED IN OUT

Run with TRITON_INTERPRET=1. Both files are safetensors: IN holds `weight` (fp8) and `delta` (bf16)
of one shape; OUT gets `fused` (bf16), before the cast back to fp8. A process of its own, since
Triton decides at its first import whether it interprets.
"""

import sys

import torch
from safetensors.torch import load_file, save_file

from verify.campaigns.fp8_fuse import launch


def main(major: str, minor: str, seed: str, source: str, target: str) -> None:
    torch.cuda.get_device_capability = lambda device=None: (int(major), int(minor))
    given = load_file(source)
    fused = launch(given["delta"], given["weight"], int(seed))
    save_file({"fused": fused}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])

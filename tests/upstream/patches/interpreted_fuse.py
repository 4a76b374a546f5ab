"""Run upstream's fuse kernel on the CPU, in Triton's interpreter, as launched for some capability.

    TRITON_INTERPRET=1 python interpreted_fuse.py MAJOR MINOR SEED IN.safetensors OUT.safetensors

IN holds `weight` (fp8) and `delta` (bf16) of one shape; OUT gets `fused` (bf16), before the cast
back to fp8. A process of its own, since Triton decides at its first import whether it interprets.
"""

import sys

import ltx_core.loader  # noqa: F401 - first, since upstream's quantization and loader form a cycle
import torch
from ltx_core.quantization.fp8_cast import _fused_add_round_launch
from safetensors.torch import load_file, save_file


def main(major: str, minor: str, seed: str, source: str, target: str) -> None:
    torch.cuda.get_device_capability = lambda device=None: (int(major), int(minor))
    given = load_file(source)
    fused = _fused_add_round_launch(given["delta"], given["weight"], int(seed))
    save_file({"fused": fused}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])

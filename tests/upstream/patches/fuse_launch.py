"""What runs the kernel that fuses a delta into fp8 weights, by each base's own name for it."""

import os

import ltx_core.loader  # noqa: F401 - first, since quantization and loader of 1.0.0 form a cycle

BASE = os.environ["LTX2_BASE"]
if BASE == "2026-01-08":
    from ltx_core.loader.fuse_loras import fused_add_round_launch as launch
elif BASE in {"2026-02-09", "2026-03-04", "1.0.0"}:
    from ltx_core.quantization.fp8_cast import _fused_add_round_launch as launch
else:
    from ltx_core.quantization.fp8_cast import fused_add_round_launch as launch

__all__ = ["launch"]

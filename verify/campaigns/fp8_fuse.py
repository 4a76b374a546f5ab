"""Upstream's fusing of a delta into an fp8 weight, by each revision's own names for it."""

from __future__ import annotations

import importlib
import importlib.util

import ltx_core.loader  # noqa: F401 - first, since quantization and loader of 1.0.0 form a cycle

if importlib.util.find_spec("ltx_core.quantization"):
    _fusing = _upcasting = importlib.import_module("ltx_core.quantization.fp8_cast")
else:
    _fusing = importlib.import_module("ltx_core.loader.fuse_loras")
    _upcasting = importlib.import_module("ltx_core.model.transformer.model_configurator")

_names = vars(_fusing)
launch = _names.get("fused_add_round_launch") or _names["_fused_add_round_launch"]
"""(delta in bf16, overwritten; weight in fp8; seed) -> their sum in bf16."""

upcast_and_round = vars(_upcasting)["_upcast_and_round"]
"""(weight in fp8, dtype, whether to round stochastically, seed) -> the weight in that dtype."""

BLOCK_SIZE: int = _names["BLOCK_SIZE"]

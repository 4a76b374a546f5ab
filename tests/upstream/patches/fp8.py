"""A transformer kept in fp8, as each base's own modules name and load it.

DOWNCAST_MAP casts to fp8 what is kept so, and IN_FP8
is what --quantization fp8-cast or --enable-fp8 hand to a ledger.
"""

import os
from pathlib import Path
from typing import Any

import ltx_core.loader  # noqa: F401 - first, since quantization and loader of 1.0.0 form a cycle
import torch
from ltx_pipelines.utils import ModelLedger

if os.environ["LTX2_BASE"] == "2026-01-08":
    from ltx_core.model.transformer import (
        LTXV_MODEL_COMFY_RENAMING_WITH_TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP,
    )

    IN_FP8: dict[str, Any] = {"fp8transformer": True}
else:
    from ltx_core.quantization import TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP
    from ltx_core.quantization import QuantizationPolicy

    IN_FP8 = {"quantization": QuantizationPolicy.fp8_cast()}

__all__ = ["DOWNCAST_MAP", "IN_FP8", "ledger"]


def ledger(checkpoint: Path, **keywords: Any) -> ModelLedger:
    """A ledger on the CPU, in bf16 but for what the keywords say."""
    return ModelLedger(
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        checkpoint_path=str(checkpoint),
        **keywords,
    )

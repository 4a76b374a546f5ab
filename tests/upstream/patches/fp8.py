"""A transformer kept in fp8, as each base's own modules name and load it.

DOWNCAST_MAP casts to fp8 what is kept so, and IN_FP8 is what --quantization fp8-cast or
--enable-fp8 hand to what builds the transformer: a ledger, or a DiffusionStage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import ltx_core.loader  # noqa: F401 - first, since quantization and loader of 1.0.0 form a cycle
import torch
from ltx_core.loader import LoraPathStrengthAndSDOps

from tests.upstream.conftest import DATE
from verify.gemma_encoder import HAS_LEDGER

if DATE < "2026-02-09":
    from ltx_core.model.transformer import (
        LTXV_MODEL_COMFY_RENAMING_WITH_TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP,
    )

    IN_FP8: dict[str, Any] = {"fp8transformer": True}
else:
    from ltx_core.quantization import TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP
    from ltx_core.quantization import QuantizationPolicy

    IN_FP8 = {"quantization": QuantizationPolicy.fp8_cast()}

__all__ = ["DOWNCAST_MAP", "IN_FP8", "Ledger", "ledger"]


class Ledger(Protocol):
    """What builds a transformer each time it is asked for one."""

    @property
    def transformer_builder(self) -> Any: ...

    def transformer(self) -> Any: ...

    def with_loras(self, loras: tuple[LoraPathStrengthAndSDOps, ...]) -> Ledger: ...


def ledger(checkpoint: Path, **keywords: Any) -> Ledger:
    """One on the CPU, in bf16 but for what the keywords say."""
    keywords |= {"dtype": torch.bfloat16, "device": torch.device("cpu")}
    if not HAS_LEDGER:
        return _OfStage(checkpoint_path=str(checkpoint), **keywords)
    from ltx_pipelines.utils import ModelLedger

    made: Ledger = ModelLedger(checkpoint_path=str(checkpoint), **keywords)
    return made


class _OfStage:
    def __init__(self, **keywords: Any) -> None:
        from ltx_pipelines.utils.blocks import DiffusionStage

        self.keywords, self.stage = keywords, DiffusionStage(**keywords)

    @property
    def transformer_builder(self) -> Any:
        return self.stage._transformer_builder

    def transformer(self) -> Any:
        return self.stage._build_transformer()

    def with_loras(self, loras: tuple[LoraPathStrengthAndSDOps, ...]) -> Ledger:
        return _OfStage(**{**self.keywords, "loras": loras})

"""A transformer kept in fp8, as each base's own modules name and load it.

DOWNCAST_MAP casts to fp8 what is kept so, and `in_fp8` gives what --quantization fp8-cast or
--enable-fp8 hand to what builds the transformer: a ledger, or a DiffusionStage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import ltx_core.loader  # noqa: F401 - first, since quantization and loader of 1.0.0 form a cycle
import torch
from ltx_core.loader import LoraPathStrengthAndSDOps

from tests.upstream.conftest import DATE
from verify.campaigns.gemma_encoder import HAS_LEDGER

if DATE < "2026-02-09":
    from ltx_core.model.transformer import (
        LTXV_MODEL_COMFY_RENAMING_WITH_TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP,
    )
else:
    from ltx_core.quantization import TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST_MAP

__all__ = ["DOWNCAST_MAP", "Ledger", "in_fp8", "ledger"]


def in_fp8(checkpoint: Path) -> dict[str, Any]:
    """The keywords for what builds the transformer of `checkpoint`."""
    if DATE < "2026-02-09":
        return {"fp8transformer": True}
    from ltx_core.quantization import QuantizationPolicy, fp8_cast

    if hasattr(fp8_cast, "build_policy"):  # which reads the scales, since 2026-05-28
        return {"quantization": fp8_cast.build_policy(str(checkpoint))}
    return {"quantization": QuantizationPolicy.fp8_cast()}


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

        make = getattr(DiffusionStage, "from_checkpoint", DiffusionStage)
        self.keywords, self.stage = keywords, make(**keywords)

    @property
    def transformer_builder(self) -> Any:
        return self.stage._transformer_builder

    def transformer(self) -> Any:
        return self.stage._build_transformer()

    def with_loras(self, loras: tuple[LoraPathStrengthAndSDOps, ...]) -> Ledger:
        return _OfStage(**{**self.keywords, "loras": loras})

"""What the upstream on the path makes of files, as one JSON line: run in either tree's process.

`scale CHECKPOINT KEY`  the norm of the transformer's weight KEY, loaded as for fp8-cast
`fused CHECKPOINT LORA KEY`  the norm of what the LoRA changes of the transformer's weight KEY
`rope ROOT CHECKPOINT`  the factor of the rope of the Gemma that it would load
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def main() -> int:
    """Print it."""
    answers: dict[str, Callable[..., float]] = {"scale": _scale, "fused": _fused, "rope": _rope}
    answer = answers[sys.argv[1]]
    print(json.dumps(answer(*sys.argv[2:])))
    return 0


def _scale(checkpoint: str, key: str) -> float:
    from tests.upstream.patches.fp8 import in_fp8, ledger

    path = Path(checkpoint)
    state = ledger(path, **in_fp8(path)).transformer().velocity_model.state_dict()
    return float(state[key].double().norm())


def _fused(checkpoint: str, lora: str, key: str) -> float:
    from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP, LoraPathStrengthAndSDOps

    from tests.upstream.patches.fp8 import ledger

    plain = ledger(Path(checkpoint))
    given = LoraPathStrengthAndSDOps(lora, 1.0, LTXV_LORA_COMFY_RENAMING_MAP)
    before, after = (
        made.transformer().velocity_model.state_dict()[key].double()
        for made in (plain, plain.with_loras((given,)))
    )
    return float((after - before).norm())


def _rope(root: str, checkpoint: str) -> float:
    from verify.campaigns.gemma_encoder import HAS_LEDGER

    common = {"dtype": torch.bfloat16, "device": torch.device("cpu")}
    if HAS_LEDGER:
        from ltx_pipelines.utils import ModelLedger

        builder = ModelLedger(
            checkpoint_path=checkpoint, gemma_root_path=root, **common
        ).text_encoder_builder
    else:
        from ltx_pipelines.utils.blocks import PromptEncoder

        builder = PromptEncoder(checkpoint, root, **common)._text_encoder_builder
    model = builder.meta_model(builder.model_config(), ()).model
    return float(model.config.text_config.rope_scaling["factor"])

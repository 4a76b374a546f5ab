"""What the upstream on the path makes of files, as one JSON line: run in either tree's process.

`scale CHECKPOINT KEY`  the norm of the transformer's weight KEY, loaded as for fp8-cast
`fused CHECKPOINT LORA KEY`  the norm of what the LoRA changes of the transformer's weight KEY
`roots CHECKPOINT`  how each constructor ends that takes a Gemma root, of None and of ""
`pixels PICTURE`  the values of a picture, as a list
`rate FPS CLIP`  the frame rate that a clip states, written with FPS
`rope ROOT CHECKPOINT`  the factor of the rope of the Gemma that it would load
"""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def main() -> int:
    """Print it."""
    answers: dict[str, Callable[..., object]] = {
        "scale": _scale,
        "fused": _fused,
        "roots": _roots,
        "pixels": _pixels,
        "rate": _rate,
        "rope": _rope,
    }
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


def _pixels(path: str) -> list[object]:
    from ltx_pipelines.utils.helpers import decode_image

    pixels: list[object] = decode_image(image_path=path).tolist()
    return pixels


def _rate(fps: str, clip: str) -> str:
    import av
    from ltx_pipelines.utils.media_io import encode_video

    from tests.upstream.conftest import DATE

    stored = torch.uint8 if DATE < "2026-05-28" else torch.float32
    sound = {"audio_sample_rate": None} if DATE < "2026-03-04" else {}
    frames = torch.zeros(9, 32, 32, 3, dtype=stored)
    encode_video(frames, float(fps), audio=None, output_path=clip, video_chunks_number=1, **sound)
    with av.open(clip) as container:
        return str(container.streams.video[0].average_rate)


def _roots(checkpoint: str) -> dict[str, str]:
    import ltx_pipelines

    found = {}
    for module in pkgutil.walk_packages(ltx_pipelines.__path__, "ltx_pipelines."):
        try:
            held = vars(importlib.import_module(module.name))
        except ImportError:  # of the overlay, for bases with other names
            continue
        for name, kind in held.items():
            if not inspect.isclass(kind) or kind.__module__ != module.name:
                continue
            known = inspect.signature(kind.__init__).parameters
            for root in (None, "") if known.keys() & _ROOTS else ():
                try:
                    kind(**dict.fromkeys(known.keys() & _ROOTS, root), **_others(known, checkpoint))
                    found[f"{name} {root!r}"] = "made"
                except Exception as error:  # noqa: BLE001 - whatever upstream throws
                    found[f"{name} {root!r}"] = f"{type(error).__name__}: {error}"
    return found


_ROOTS = {"gemma_root", "gemma_root_path", "text_encoder_path"}


def _others(known: Mapping[str, inspect.Parameter], checkpoint: str) -> dict[str, object]:
    """What a constructor must be given besides."""
    given: dict[str, object] = {
        key: checkpoint if "path" in key else [] if "lora" in key else None
        for key, parameter in known.items()
        if key not in _ROOTS | {"self"}
        and parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    fixed = {"dtype": torch.bfloat16, "device": torch.device("cpu")}
    return given | {key: value for key, value in fixed.items() if key in known}


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

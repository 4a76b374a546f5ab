"""In the scripts' process: run one script, and keep what it computes on the way.

`python -m verify.clips.recorder FOLDER MODULE ARGUMENTS` runs `main()` of MODULE with ARGUMENTS and
leaves in FOLDER: hidden.safetensors, for each text and some layers the hidden states of its real
tokens, (tokens, hidden); latents.safetensors, the latents that were decoded, `video` (1, channels,
frames, height, width) and `audio` (1, channels, frames, bins); run.json, seconds and machine.

Upstream's functions are wrapped from outside, and found by what they are called in every revision.
What is kept goes to the host's memory at once, layer by layer: the card holds nothing more than
without.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file

from verify.upstream.unpatched import replaced

_ENCODER = "ltx_core.text_encoders.gemma.encoders.base_encoder"
# What gives a prompt to Gemma: since 2026-03-11, on 2026-03-04, and before.
_ENCODING = ("encode", "precompute", "_preprocess_text")
_VIDEO_VAE = "ltx_core.model.video_vae"
_AUDIO_VAE = "ltx_core.model.audio_vae.audio_vae"
_DECODING = ("decode_video", "tiled_decode", "forward")  # the outermost is called first


class Kept:
    """What one run of a script has computed so far, in host memory."""

    def __init__(self) -> None:
        self.hidden: dict[str, torch.Tensor] = {}  # "text0.layer12"
        self.latents: dict[str, torch.Tensor] = {}  # "video", "audio"
        self._texts = 0

    def keep_states(self, states: tuple[torch.Tensor, ...], mask: torch.Tensor) -> None:
        """Of each text: `states` are (texts, tokens, hidden) a layer, `mask` (texts, tokens)."""
        for row, real in enumerate(mask.cpu().bool()):
            for layer in kept_layers(len(states)):
                name = f"text{self._texts}.layer{layer}"
                self.hidden[name] = states[layer][row].cpu()[real]
            self._texts += 1

    def keep_latent(self, name: str, latent: torch.Tensor) -> None:
        """The first one of that name: what a decoder then makes of it, tile by tile, is no more."""
        if name not in self.latents:
            self.latents[name] = latent.detach().cpu().clone().contiguous()


def kept_layers(states: int) -> list[int]:
    """Which of so many hidden states to keep: at each quarter of the depth, and the last.

    All of Gemma 3 12B's 49 would be 385 MB a text.
    """
    return sorted({(states - 1) * quarter // 4 for quarter in range(1, 5)})


@contextmanager
def watched(kept: Kept) -> Iterator[None]:
    """Within it, what upstream's pipelines compute is kept."""
    with ExitStack() as stack:
        for owner, name in _encoders():
            stack.enter_context(replaced(owner, name, _listening(vars(owner)[name], kept)))
        for owner, name in _video_decoders():
            stack.enter_context(replaced(owner, name, _noting(vars(owner)[name], "video", kept)))
        audio = importlib.import_module(_AUDIO_VAE).AudioDecoder
        stack.enter_context(replaced(audio, "forward", _noting(audio.forward, "audio", kept)))
        yield


def _encoders() -> Iterator[tuple[type, str]]:
    for owner in _modules_of(importlib.import_module(_ENCODER)):
        yield from ((owner, name) for name in _ENCODING if name in vars(owner))


def _video_decoders() -> Iterator[tuple[type, str]]:
    """The class of every kind of decoder that this upstream has."""
    for file in ("video_vae", "conv_video_decoder", "diffusion_video_decoder"):
        if importlib.util.find_spec(f"{_VIDEO_VAE}.{file}"):
            for owner in _modules_of(importlib.import_module(f"{_VIDEO_VAE}.{file}")):
                if "tiled_decode" in vars(owner):
                    yield from ((owner, name) for name in _DECODING if name in vars(owner))


def _modules_of(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, torch.nn.Module)
            and value.__module__ == module.__name__
        ):
            yield value


def _listening(encode: Callable[..., Any], kept: Kept) -> Callable[..., Any]:
    """`encode`, with an ear on the model within: its caller may drop what it says."""

    def keep(_module: Any, _args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        kept.keep_states(output.hidden_states, kwargs["attention_mask"])

    @functools.wraps(encode)
    def encoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        handle = self.model.model.register_forward_hook(keep, with_kwargs=True)
        try:
            return encode(self, *args, **kwargs)
        finally:
            handle.remove()

    return encoding


def _noting(decode: Callable[..., Any], name: str, kept: Kept) -> Callable[..., Any]:
    @functools.wraps(decode)
    def decoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        kept.keep_latent(name, args[0] if args else next(iter(kwargs.values())))
        return decode(self, *args, **kwargs)

    return decoding


def main() -> None:
    """Run a script as the arguments say. Raises: SystemExit (its own, or nothing was kept)."""
    folder, module, argv = Path(sys.argv[1]), importlib.import_module(sys.argv[2]), sys.argv[3:]
    sys.argv = [str(module.__file__), *argv]
    kept, start_s = Kept(), time.monotonic()
    with watched(kept):
        module.main()
    seconds = time.monotonic() - start_s
    missing = [
        name
        for name, there in {
            "hidden states": kept.hidden,
            "video latents": "video" in kept.latents,
            "audio latents": "audio" in kept.latents,
        }.items()
        if not there
    ]
    if missing:
        sys.exit(f"this upstream computes its {', '.join(missing)} where the recorder doesn't look")
    save_file(kept.hidden, folder / "hidden.safetensors")
    save_file(kept.latents, folder / "latents.safetensors")
    run = {"seconds": round(seconds, 3), "machine": _machine()}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    gc.collect()  # the next script in this process starts with an empty card
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        cpu = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        cpu = ""
    model = re.search(r"^model name\s*:\s*(.+)$", cpu, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


if __name__ == "__main__":
    main()

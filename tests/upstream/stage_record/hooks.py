"""The places in upstream where a run's stages are seen, wrapped from outside its source.

They are those that revisions with and without `ltx_pipelines.utils.blocks` share: a builder's
`build`, the noiser, the transformer's pass and its attentions, the step, and two encoders' passes.
"""

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch

from tests.upstream.stage_record.events import (
    Built,
    Encoded,
    Event,
    Loaded,
    Noised,
    Passed,
    Rotated,
    Stepped,
    Upsampled,
    Warned,
)
from verify.upstream.unpatched import replaced

_LOGGERS = ("ltx_core", "ltx_pipelines")


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """Within it, what upstream does is appended to the list."""
    from ltx_core.components.diffusion_steps import EulerDiffusionStep
    from ltx_core.components.noisers import GaussianNoiser
    from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder
    from ltx_core.model.transformer import X0Model
    from ltx_core.model.transformer.attention import Attention
    from ltx_core.model.upsampler import LatentUpsampler
    from ltx_core.model.video_vae import VideoEncoder

    events: list[Event] = []
    transformers = _Transformers(events)
    seen: list[tuple[type, str, Callable[..., Any]]] = [
        (SingleGPUModelBuilder, "build", _builds(events)),
        (VideoEncoder, "forward", _encodes(events)),
        (LatentUpsampler, "forward", _upsamples(events)),
        (GaussianNoiser, "__call__", _noises(events)),
        (EulerDiffusionStep, "step", _steps(events)),
        (X0Model, "forward", transformers.passes),
        (Attention, "forward", transformers.attends),
    ]
    with ExitStack() as stack:
        for owner, name, around in seen:
            stack.enter_context(replaced(owner, name, _around(vars(owner)[name], around)))
        handler = _Warnings(events)
        for logger in map(logging.getLogger, _LOGGERS):
            logger.addHandler(handler)
            stack.callback(logger.removeHandler, handler)
        yield events


def _around(original: Callable[..., Any], seen: Callable[..., Any]) -> Callable[..., Any]:
    """`seen(call, arguments by name)` in place of `original`; `call()` is the original's result."""
    signature = inspect.signature(original)

    def method(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        return seen(lambda: original(*given, **named), bound.arguments)

    return method


def _builds(events: list[Event]) -> Callable[..., Any]:
    def build(call: Callable[[], Any], given: dict[str, Any]) -> Any:
        model, builder = call(), given["self"]
        configurator = vars(builder).get("model_class_configurator") or vars(builder).get(
            "_model_class_configurator"
        )
        tensors = (*model.named_parameters(), *model.named_buffers())
        events.append(
            Built(
                # Since 2026-08-11 a digest of Gemma's path stands behind some names.
                component=configurator.__name__.partition("_")[0],
                loras=[lora.strength for lora in builder.loras],
                unfilled=[name for name, tensor in tensors if tensor.is_meta],
            )
        )
        return model

    return build


def _encodes(events: list[Event]) -> Callable[..., Any]:
    def forward(call: Callable[[], Any], given: dict[str, Any]) -> Any:
        latent = call()
        events.append(Encoded(_copy(given["sample"]), _copy(latent)))
        return latent

    return forward


def _upsamples(events: list[Event]) -> Callable[..., Any]:
    def forward(call: Callable[[], Any], given: dict[str, Any]) -> Any:
        larger = call()
        events.append(Upsampled(_copy(given["latent"]), _copy(larger)))
        return larger

    return forward


def _noises(events: list[Event]) -> Callable[..., Any]:
    seen: list[Any] = []  # kept, as another object may get the id of one that is gone

    def noise(call: Callable[[], Any], given: dict[str, Any]) -> Any:
        state, generator = given["latent_state"], given["self"].generator
        kept = (_copy(state.latent), _copy(state.clean_latent), _copy(state.denoise_mask))
        if all(generator is not other for other in seen):
            seen.append(generator)
        before = generator.get_state()
        noised = call()
        events.append(
            Noised(
                *kept,
                scale=float(given["noise_scale"]),
                noised=_copy(noised.latent),
                generator=next(i for i, other in enumerate(seen) if other is generator),
                before=before,
                after=generator.get_state(),
            )
        )
        return noised

    return noise


def _steps(events: list[Event]) -> Callable[..., Any]:
    def step(call: Callable[[], Any], given: dict[str, Any]) -> Any:
        result = call()
        events.append(
            Stepped(
                _copy(given["sigmas"]),
                int(given["step_index"]),
                _copy(given["sample"]),
                _copy(result),
            )
        )
        return result

    return step


class _Transformers:
    """The transformers of a run, told apart as objects, and what their attentions do."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._stages: WeakKeyDictionary[torch.nn.Module, int] = WeakKeyDictionary()
        self._names: WeakKeyDictionary[torch.nn.Module, str] = WeakKeyDictionary()
        self._rotated: WeakKeyDictionary[torch.nn.Module, int] = WeakKeyDictionary()
        self._count = 0
        self._stage = 0  # of the pass that is going on
        self._ran: list[str] = []
        self._bypassed: list[str] = []

    def passes(self, call: Callable[[], Any], given: dict[str, Any]) -> Any:
        """Record a pass of `X0Model`, and before its first one what it runs with."""
        model, video, audio = given["self"], given["video"], given["audio"]
        if model not in self._stages:
            self._count += 1
            self._stages[model] = self._count
            self._names.update({m: name for name, m in model.velocity_model.named_modules()})
            weights = model.velocity_model.state_dict()
            kept = {name: _copy(weight) for name, weight in weights.items()}
            self._events.append(Loaded(self._stages[model], kept))
        self._stage, self._ran, self._bypassed = self._stages[model], [], []
        denoised_video, denoised_audio = call()
        self._events.append(
            Passed(
                stage=self._stage,
                sigma=float(video.sigma.reshape(-1)[0]),
                video=_copy(video.latent),
                audio=_copy(audio.latent),
                positions=_copy(video.positions),
                timesteps=_copy(video.timesteps),
                contexts=[_digest(video.context), _digest(audio.context)],
                ran=self._ran,
                bypassed=self._bypassed,
                denoised_video=_copy(denoised_video),
                denoised_audio=_copy(denoised_audio),
            )
        )
        self._stage = 0
        return denoised_video, denoised_audio

    def attends(self, call: Callable[[], Any], given: dict[str, Any]) -> Any:
        """Note an attention's call for the pass that it belongs to."""
        attention, mask = given["self"], given["perturbation_mask"]
        name = self._names[attention] if self._stage else "connector"
        if self._stage:
            self._ran.append(name)
            if given["all_perturbed"] or (mask is not None and not bool(mask.all())):
                self._bypassed.append(name)
        if given["pe"] is not None and self._rotated.get(attention) != self._stage:
            self._rotated[attention] = self._stage
            cos, sin = map(_copy, given["pe"])
            rope = attention.rope_type.value
            self._events.append(Rotated(self._stage, name, attention.heads, rope, cos, sin))
        return call()


class _Warnings(logging.Handler):
    """What upstream logs as a warning becomes an event."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.append(Warned(record.name, record.getMessage()))


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().clone()


def _digest(tensor: torch.Tensor) -> str:
    held = _copy(tensor).contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(held.numpy().tobytes()).hexdigest()

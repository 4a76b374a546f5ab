"""What is recorded of a run, in order, and its two files: facts as JSON, tensors beside them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file

from ltx2_patcher.values.errors import InvalidError

FACTS, TENSORS = "events.json", "tensors.safetensors"


@dataclass(frozen=True, slots=True)
class Built:
    """A builder gave out a model."""

    component: str  # its configurator's name
    loras: Sequence[float]  # the strengths of what is fused into it
    unfilled: Sequence[str]  # parameters and buffers that are still on the meta device


@dataclass(frozen=True, slots=True)
class Warned:
    """Upstream logged a warning, or worse."""

    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """The video encoder turned pictures into a latent."""

    pictures: torch.Tensor  # (batch, 3, frames, height, width), within -1 and 1
    latent: torch.Tensor  # (batch, channels, frames, height, width)


@dataclass(frozen=True, slots=True)
class Noised:
    """The noiser made of a state what denoising starts from: tokens are (batch, token, channel)."""

    latent: torch.Tensor
    clean: torch.Tensor
    mask: torch.Tensor  # 1 is to be denoised whole, 0 is to stay
    scale: float
    noised: torch.Tensor
    generator: int  # the same object has the same number, and no other has it
    before: torch.Tensor  # the generator's state, bytes
    after: torch.Tensor


@dataclass(frozen=True, slots=True)
class Loaded:
    """The weights that a transformer runs with, at its first pass."""

    stage: int  # which transformer of the run, from 1
    weights: Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Rotated:
    """An attention rotated its queries for the first time in its model."""

    stage: int  # 0 is outside of the transformers: the connectors
    attention: str  # its name in the transformer, or "connector"
    heads: int
    rope: str
    cos: torch.Tensor
    sin: torch.Tensor


@dataclass(frozen=True, slots=True)
class Passed:
    """A transformer was called once."""

    stage: int
    sigma: float
    video: torch.Tensor
    audio: torch.Tensor
    positions: torch.Tensor  # of the video's tokens: (batch, 3, token, 2), begin and end
    timesteps: torch.Tensor  # of the video's tokens
    contexts: Sequence[str]  # digests of the video's and the audio's
    ran: Sequence[str]  # the attentions that were called
    bypassed: Sequence[str]  # those of them that gave their values through, for some sample
    denoised_video: torch.Tensor
    denoised_audio: torch.Tensor


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step from one sigma to the next."""

    sigmas: torch.Tensor  # the whole schedule
    index: int
    sample: torch.Tensor
    result: torch.Tensor


@dataclass(frozen=True, slots=True)
class Upsampled:
    """The upsampler enlarged a latent, without the statistics around it."""

    latent: torch.Tensor
    larger: torch.Tensor


Event = Built | Warned | Encoded | Noised | Loaded | Rotated | Passed | Stepped | Upsampled
Kind = TypeVar("Kind", bound=Event)
_KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Built, Warned, Encoded, Noised, Loaded, Rotated, Passed, Stepped, Upsampled)
}


def of_kind(events: Sequence[Event], kind: type[Kind]) -> list[Kind]:
    """Those of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]


def write_events(folder: Path, events: Sequence[Event]) -> None:
    """`folder`, which exists, holds the events. Raises: OSError."""
    tensors: dict[str, torch.Tensor] = {}
    lines = []
    for number, event in enumerate(events):
        facts: dict[str, Any] = {"kind": type(event).__name__}
        for field in dataclasses.fields(event):
            value = getattr(event, field.name)
            if isinstance(value, torch.Tensor):
                tensors[f"{number}.{field.name}"] = value
            elif isinstance(value, Mapping):
                tensors |= {f"{number}.{field.name}.{name}": kept for name, kept in value.items()}
            else:
                facts[field.name] = value
        lines.append(facts)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
    (folder / FACTS).write_text(json.dumps(lines), encoding="utf-8")


def read_events(folder: Path) -> list[Event]:
    """What `write_events` wrote. Raises: InvalidError (there is no whole record)."""
    try:
        lines = json.loads((folder / FACTS).read_text("utf-8"))
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError) as error:
        raise InvalidError(
            f"{folder} holds no whole record of a run: {error}", remedy="record the run again"
        ) from error
    by_event: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, field, *rest = name.split(".", 2)
        kept = by_event.setdefault(int(number), {})
        if rest:
            kept.setdefault(field, {})[rest[0]] = tensor
        else:
            kept[field] = tensor
    return [
        _KINDS[facts.pop("kind")](**facts, **by_event.get(number, {}))
        for number, facts in enumerate(lines)
    ]

"""Types of fields that both APIs have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it came with a form; what it calls itself means nothing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture as a request names it, and where the clip passes through it."""

    source: Sent | str  # a file of the form, or a data: URL
    param: str  # the field that named it
    frame: int = 0
    strength: float = 1.0


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    return text


def _whole(value: Any) -> Any:
    """JSON calls 512.0 an integer, and so do some writers of it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _file(value: Any) -> Any:
    if isinstance(value, Sent):
        return value
    raise ValueError("it is no file")


_Whole = BeforeValidator(_whole)

Text = Annotated[str, Field(min_length=1, max_length=32_000), AfterValidator(_without_nul)]
Side = Annotated[int, _Whole, Field(ge=1, le=16_384)]  # pixels
Frames = Annotated[int, _Whole, Field(ge=1, le=100_000)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]  # frames a second
Seed = Annotated[int, _Whole, Field(ge=-1, le=2**63 - 1)]  # -1 is random
Steps = Annotated[int, _Whole, Field(ge=1, le=10_000)]
Whole = Annotated[int, _Whole]
File = Annotated[
    Sent, BeforeValidator(_file), WithJsonSchema({"type": "string", "format": "binary"})
]


def pinned(gpu_id: int | None) -> int | None:
    """The card that a clip has to run on; None for the one that will be free first."""
    return None if gpu_id in {None, -1} else gpu_id


def drawn(seed: int | None) -> int | None:
    """A seed that is given; None for one that is drawn when the job is accepted."""
    return None if seed in {None, -1} else seed

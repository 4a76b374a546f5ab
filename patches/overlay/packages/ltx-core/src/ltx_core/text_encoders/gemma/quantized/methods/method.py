"""What one quantization method of Gemma knows and all that differs from one method to the next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor

INCOMPLETE = "download the shards again, or quantize the bf16 root anew"


@dataclass(frozen=True, slots=True)
class Flag:
    """How people ask for a method."""

    name: str  # "--gemma-4bit"; `quantize_gemma` leaves "gemma-" out
    help: str  # of a script that loads a Gemma so
    summary: str  # of `quantize_gemma`, which writes one


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """The weight of a quantized layer as a file holds it, and as it will be handed to the layer."""

    shape: tuple[int, ...]
    dtype: str  # safetensors' spelling
    nbytes: int


class Method(Protocol):
    """A way to hold the weight (out, in) of a Linear in a few tensors, its parts, and to multiply by it.

    Frozen and equal by value: a method travels with a Gemma root from process to process. A part has a name below its
    layer; the one called "weight" takes the place of the Linear's weight.
    """

    @property
    def label(self) -> str:
        """What messages call it: "4bit". Methods of one label load under the flag of any of them."""

    @property
    def flag(self) -> Flag | None:
        """How people ask for it; None if it loads only what is already quantized so."""

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts that `quantize` makes, below the layer and in its order."""

    def may_be_stated(self, settings: Mapping[str, Any]) -> bool:
        """Whether the `quantization_config` of a config.json can mean this method; the stored parts decide."""

    def stored_layers(self, stored: Mapping[str, StoredTensor]) -> dict[str, tuple[str, ...]]:
        """The names of all parts of each layer that is already quantized so, under the name of its weight.

        `stored` is every tensor by its name. Raises: GemmaRootError if a layer is incomplete.
        """

    def packed(self, shape: tuple[int, ...]) -> PackedWeight:
        """The part "weight" that `quantize` makes of a weight (out, in).

        One that a file holds already has the same bytes, perhaps in another shape and dtype.
        """

    def most_bytes(self, shape: tuple[int, ...]) -> int:
        """An upper bound of what the parts of a weight (out, in) take in a file, but for 4096 bytes."""

    def require(self, device: torch.device) -> None:
        """Quantizing and multiplying work on `device`. Raises: BitsAndBytesUnavailable."""

    def quantize(
        self, weight: torch.Tensor, compute_device: torch.device, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """The parts of a weight on `device`, by their names.

        `weight` (out, in) is float32, float16 or bfloat16 and stays where it is; pieces of it go over bfloat16 (as
        transformers' `from_pretrained` with that dtype does) and are quantized on `compute_device`.
        """

    def layer(self, linear: torch.nn.Linear, weight: PackedWeight) -> torch.nn.Module:
        """The layer on the meta device that takes the place of `linear` and loads the parts by their names."""

    def config(self, not_quantized: list[str]) -> dict[str, Any]:
        """The `quantization_config` of a config.json, as transformers reads it; `not_quantized` are module names."""


def require_parts(parts: tuple[str, ...], stored: Iterable[str]) -> tuple[str, ...]:
    """The parts of one layer, the weight first, all of which are stored. Raises: GemmaRootError."""
    if missing := [name for name in parts if name not in stored]:
        raise GemmaRootError(f"the quantized layer of {parts[0]} lacks {', '.join(missing)}", INCOMPLETE)
    return parts

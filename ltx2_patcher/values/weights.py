"""What is known of weight files without reading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as a safetensors header describes it."""

    dtype: str  # safetensors' spelling: "BF16", "F8_E4M3"
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one safetensors file."""

    tensors: Mapping[str, Tensor] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors.values())


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a model that upstream builds on its own."""

    name: str
    tensors: int
    elements: int
    bytes: int
    dtypes: Mapping[str, int]  # dtype -> number of tensors


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An LTX-2 checkpoint."""

    variant: str  # "LTX-2 19B", "LTX-2.3 22B", "LTX-2.5 22B"
    layers: int  # transformer blocks
    precision: str  # "bf16", "fp8", "fp8 with scales"
    context_width: int | None  # what its text projection takes: Gemma's width * (layers + 1)
    fp8_elements: int  # what --quantization fp8-cast keeps in 8 bits: the blocks' Linear weights
    components: tuple[Component, ...]
    missing: tuple[str, ...]  # keys that upstream's model has and the file lacks
    bytes: int

    @property
    def name(self) -> str:
        """The variant, and its size where it is not the released one's."""
        return self.variant if self.layers == 48 else f"{self.variant} with {self.layers} layers"

    def elements_of(self, component: str) -> int:
        """Elements of the component of that name; 0 where the file has none."""
        return sum(part.elements for part in self.components if part.name == component)


@dataclass(frozen=True, slots=True)
class GemmaRoot:
    """A folder with a Gemma text encoder."""

    size: str  # "12B", or its width and layers
    width: int
    layers: int
    quantization: str | None  # "4bit", "8bit": by bitsandbytes; None: plain
    detail: str  # "nf4, double quantization", "bf16"
    newer_layout: bool  # names as transformers writes them from 4.52 on
    shards: int
    linear_elements: int  # what the Gemma flags quantize: the language model's Linear weights
    components: tuple[Component, ...]
    missing: tuple[str, ...]  # keys that transformers' model has and the shards lack
    faults: tuple[str, ...]  # what keeps it from loading, besides missing keys
    bytes: int

    @property
    def context_width(self) -> int:
        """Width of what a checkpoint's text projection must take: every layer and the embedding."""
        return self.width * (self.layers + 1)


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA for the transformer."""

    rank: int
    modules: int
    components: tuple[Component, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Upsampler:
    """A latent upsampler."""

    scale: str
    components: tuple[Component, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """A safetensors file that no pipeline of upstream takes."""

    components: tuple[Component, ...]
    bytes: int


Weights = Checkpoint | GemmaRoot | Lora | Upsampler | Foreign

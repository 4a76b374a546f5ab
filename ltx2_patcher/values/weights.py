"""What is known of weight files without reading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header of a file describes it."""

    dtype: str  # safetensors' spelling: "BF16", "F8_E4M3"; of a GGUF the GGML type: "Q4_K"
    shape: tuple[int, ...]
    bytes: int
    start: int = field(default=0, compare=False)  # of its bytes, counted from the first of all data

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Mark:
    """What ComfyUI says of a layer that it stores quantized."""

    format: str  # "int8_tensorwise", "float8_e4m3fn", "nvfp4"
    rotated: bool  # by ConvRot: the codes are those of the weight times a Hadamard matrix


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one weight file."""

    tensors: Mapping[str, Tensor] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    marks: Mapping[str, Mark] = field(default_factory=dict, repr=False)  # by layer, "a.b.to_q"

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
    """An LTX-2 checkpoint: the whole model, or its transformer alone."""

    variant: str  # "LTX-2 19B", "LTX-2.3 22B", "LTX-2.5 22B"
    layers: int  # transformer blocks
    precision: str  # of its blocks' Linear weights, "fp8 with scales" (rules/models/precision.py)
    whole: bool  # with VAEs and vocoder; LTX-2.5 also comes as a file a part
    context_width: int | None  # what its text projection takes: Gemma's width * (layers + 1)
    gemma_version: str | None  # which Gemma it says it was trained with: "gemma4-12b-ltx-v1"
    fp8_elements: int  # what --quantization fp8-cast keeps in 8 bits: the blocks' Linear weights
    components: tuple[Component, ...]
    missing: tuple[str, ...]  # keys that upstream's model has and the file lacks
    bytes: int
    stated: str | None = None  # the generation in its metadata, by which upstream picks settings
    layout: str = ""  # what ComfyUI calls quantized weights that are stored so: "fp8_scaled"

    @property
    def name(self) -> str:
        """The variant, and its size where it is not the released one's."""
        return self.variant if self.layers == 48 else f"{self.variant} with {self.layers} layers"

    @property
    def generation(self) -> str:
        """The variant without its size: "LTX-2.5"."""
        return self.variant.split()[0]

    def elements_of(self, component: str) -> int:
        """Elements of the component of that name; 0 where the file has none."""
        return sum(part.elements for part in self.components if part.name == component)


GemmaKind = Literal["gemma3", "gemma4_unified", "gemma4"]
"""A Gemma's model_type: Gemma 3 encodes and writes prompts, the unified Gemma 4 of LTX-2.5 encodes
them only, and an instruct Gemma 4 writes them only (upstream 400fd31, `get_gemma_ops`)."""


@dataclass(frozen=True, slots=True)
class GemmaRoot:
    """A Gemma: a folder of shards, or one packed file with its tokenizer and settings."""

    kind: GemmaKind
    size: str  # "12B", or its width and layers
    width: int
    layers: int
    version: str | None  # Lightricks' name for what LTX-2.5 was trained with: "gemma4-12b-ltx-v1"
    packed: bool  # in one file
    quantization: str | None  # "4bit", "8bit": by bitsandbytes; None: plain
    detail: str  # "nf4, double quantization", "bf16"
    newer_layout: bool  # a Gemma 3 with names as transformers writes them from 4.52 on
    shards: int
    linear_elements: int  # what the Gemma flags quantize: the language model's Linear weights
    projection_width: int | None  # what the text projection that lies in a packed file takes
    components: tuple[Component, ...]
    beside: frozenset[str]  # names of the other files: tokenizer, settings
    nests_image_processor: bool  # processor_config.json describes it; else a file of its own must
    missing: tuple[str, ...]  # keys that transformers' model has and the shards lack
    faults: tuple[str, ...]  # what keeps it from loading, besides missing keys
    bytes: int

    @property
    def family(self) -> str:
        """The generation: "Gemma 3", "Gemma 4"."""
        return "Gemma 3" if self.kind == "gemma3" else "Gemma 4"

    @property
    def name(self) -> str:
        """The family, the size, and what it is for where that is not what it usually is."""
        instruct = " (instruct)" if self.kind == "gemma4" else ""
        return f"{self.family} {self.size}{instruct}"

    @property
    def context_width(self) -> int:
        """Width of what a checkpoint's text projection must take: every layer and the embedding."""
        return self.width * (self.layers + 1)

    @property
    def elements(self) -> int:
        """Elements of the model itself, without what is packed beside it."""
        return sum(part.elements for part in self.components if part.name not in PACKED_BESIDE)


PartKind = Literal["video VAE", "audio VAE", "duration head"]

PACKED_BESIDE = ("text projection", "tokenizer and settings")
"""Components of a packed file that are none of Gemma's."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A part of a model in a file of its own, as LTX-2.5 is published."""

    kind: PartKind
    detail: str  # "diffusion decoder"; empty where there is one kind only
    components: tuple[Component, ...]
    missing: tuple[str, ...]
    bytes: int

    @property
    def name(self) -> str:
        """The kind and its detail."""
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA, or one of its kin."""

    method: str  # "LoRA"; upstream reads no other: "LoKr", "LoHa", "DoRA"
    rank: int
    modules: tuple[str, ...]  # what it changes, as the file names it
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)  # of all its tensors
    dtypes: frozenset[str]  # likewise, in safetensors' spelling
    components: tuple[Component, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Upsampler:
    """A latent upsampler."""

    space: float  # by how much it multiplies width and height
    time: float  # and the frames
    generation: str | None  # whose latents it takes: "LTX-2.5"; None where the file doesn't tell
    components: tuple[Component, ...]
    bytes: int

    @property
    def scale(self) -> str:
        """Both: "x1.5 in space", "x2 in space and x2 in time"."""
        scales = (("space", self.space), ("time", self.time))
        return " and ".join(f"x{factor:g} in {name}" for name, factor in scales if factor != 1)


SourceKind = Literal["transformer", "gemma", "part"]
"""A part is what goes beside the others: a text projection, a VAE, a vision tower."""


@dataclass(frozen=True, slots=True)
class Source:
    """Weights in a layout that no pipeline takes, from which `convert` makes one that some do."""

    kind: SourceKind
    model: str  # "transformer of LTX-2.3 22B", "Gemma 3 12B", "text projection"
    layout: str  # "ComfyUI's fp8_scaled", "GGUF of Q4_K and F32", "a diffusers folder"
    codes: str  # of its quantized weights, as `Checkpoint.precision` names them
    components: tuple[Component, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """A weight file that no pipeline of upstream takes, nor `convert`."""

    components: tuple[Component, ...]
    bytes: int


Weights = Checkpoint | GemmaRoot | ModelPart | Lora | Upsampler | Source | Foreign

"""What of a request decides how much memory it takes."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import Request

_DEFAULT_FRAMES = 121
"""Upstream's own, in all its parsers."""
_UNSIZED = (1536, 1024)
"""Of a pipeline that takes no size: the video that it is given has one."""
_LATENT_STRIDE, _LATENT_FRAMES = 32, 8
"""Pixels a latent token spans each way, and frames: the video VAE's factors in LTX-2 and 2.3."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One request; `flags` are those that save or cost memory, as they are typed, sorted."""

    pipeline: str
    width: int
    height: int
    frames: int
    flags: tuple[str, ...]
    steps: int | None = None  # of a guided stage; None is upstream's default
    images: int = 0  # that the clip starts from or passes through

    @property
    def size(self) -> str:
        """As in limits.toml."""
        return f"{self.width}x{self.height}"

    @property
    def transformer_flags(self) -> frozenset[str]:
        """Those that decide how the transformer is held."""
        return frozenset(f for f in self.flags if "gemma" not in f and "prompt" not in f)

    @property
    def tokens(self) -> int:
        """Latent tokens of the finished clip: what memory beside the weights grows with."""
        across = (self.width // _LATENT_STRIDE) * (self.height // _LATENT_STRIDE)
        return across * ((self.frames - 1) // _LATENT_FRAMES + 1)


def sized_as(quantization: str | None) -> str | None:
    """The quantization whose memory was measured and that this one's is told by: integers take a
    scale a row more than fp8-cast, and their activations less than the bf16 copy of a weight.
    """
    return "fp8-cast" if quantization == "int8" else quantization


def transformer_flags(quantization: str | None, offload: str | None) -> frozenset[str]:
    """As a workload's flags name them."""
    flags = {"--quantization": sized_as(quantization), "--offload": offload}
    return frozenset(f"{option} {value}" for option, value in flags.items() if value)


def workload_of(pipeline: Pipeline, request: Request) -> Workload:
    """The request's workload; what it leaves out is upstream's default.

    Raises: UsageError where the length is left to the model.
    """
    if pipeline.tells_length and request.frames is None:
        raise UsageError(
            "without --num-frames the model's duration head chooses the length, and memory is told "
            "for one length",
            remedy="give --num-frames",
        )
    flags = [f"--gemma-{request.gemma}"] if request.gemma else []
    flags += transformer_flags(request.quantization, request.offload)
    flags += ["--enhance-prompt"] if request.enhances else []
    width, height = pipeline.size or _UNSIZED
    return Workload(
        request.pipeline,
        request.width or width,
        request.height or height,
        request.frames or _DEFAULT_FRAMES,
        tuple(sorted(flags)),
        steps=request.steps,
        images=request.images,
    )

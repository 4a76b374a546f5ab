"""Tell what a weight file or Gemma root is."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_base, add_json, path, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.values.base import Base
    from ltx2_patcher.values.weights import Weights

_SHOWN = 12


def options(parser: ArgumentParser) -> None:
    parser.add_argument("path", type=path, metavar="FILE_OR_ROOT")
    add_base(parser)
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.models.inspect import inspect

    weights = inspect(args.path)
    show(args, weights, _lines(weights, store().base(args.base), str(args.path)))
    return 0


def _lines(weights: Weights, base: Base, origin: str) -> Iterator[str]:
    from ltx2_patcher.rules.models.abilities import patched
    from ltx2_patcher.rules.models.pairing import refusal_of
    from ltx2_patcher.rules.models.serving import served_as
    from ltx2_patcher.rules.size import in_words
    from ltx2_patcher.values.weights import (
        Checkpoint,
        GemmaRoot,
        Lora,
        ModelPart,
        Source,
        Upsampler,
    )

    size = in_words(weights.bytes)
    match weights:
        case Checkpoint():
            name = (
                f"{weights.name} checkpoint" if weights.whole else f"transformer of {weights.name}"
            )
            comfy = f" (ComfyUI's {weights.layout})" if weights.layout else ""
            yield f"{name}, {weights.precision}{comfy}, {size}"
        case GemmaRoot():
            how = (
                f"{weights.quantization}: {weights.detail}"
                if weights.quantization
                else weights.detail
            )
            files = "one file" if weights.packed else f"{weights.shards} shards"
            yield f"{weights.name}, {how}, {size} in {files}"
        case ModelPart():
            yield f"{weights.name}, {size}"
        case Lora():
            count = len(weights.modules)
            yield f"{weights.method} of rank {weights.rank} on {count} modules, {size}"
        case Upsampler():
            of = f" of {weights.generation}" if weights.generation else ""
            yield f"latent upsampler {weights.scale}{of}, {size}"
        case Source():
            yield f"{weights.model}, {weights.layout}, {size}"
        case _:
            yield f"nothing that a pipeline takes by itself, {size}"
    for part in weights.components:
        dtypes = ", ".join(f"{dtype} {count}" for dtype, count in part.dtypes.items())
        yield f"  {part.name:<21} {part.tensors:>5} tensors {in_words(part.bytes):>10}  {dtypes}"
    if isinstance(weights, Checkpoint | GemmaRoot | ModelPart):
        yield from (f"  missing  {name}" for name in weights.missing[:_SHOWN])
        if len(weights.missing) > _SHOWN:
            yield f"  missing  and {len(weights.missing) - _SHOWN} more (--json has them all)"
    if isinstance(weights, Checkpoint | GemmaRoot | ModelPart | Source):
        others = tuple(map(patched, store().bases()))
        if error := refusal_of(weights, patched(base), others, origin):
            yield f"base {base.name} can't load it: {error}"
            yield f"  to do: {error.remedy}"
            return
        yield f"complete, as base {base.name} expects it"
    if option := served_as(weights):
        yield f"serves as {option}"

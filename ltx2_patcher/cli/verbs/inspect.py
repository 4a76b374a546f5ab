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

    found = inspect(args.path)
    show(args, found, _described(found, store().base(args.base), str(args.path)))
    return 0


def _described(found: Weights, base: Base, origin: str) -> Iterator[str]:
    from ltx2_patcher.rules.models.pairing import misfit_of
    from ltx2_patcher.rules.size import in_words
    from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, Lora, ModelPart, Upsampler

    size = in_words(found.bytes)
    match found:
        case Checkpoint():
            name = f"{found.name} checkpoint" if found.whole else f"transformer of {found.name}"
            yield f"{name}, {found.precision}, {size}"
        case GemmaRoot():
            how = f"{found.quantization}: {found.detail}" if found.quantization else found.detail
            files = "one file" if found.packed else f"{found.shards} shards"
            yield f"{found.name}, {how}, {size} in {files}"
        case ModelPart():
            yield f"{found.name}, {size}"
        case Lora():
            yield f"LoRA of rank {found.rank} on {found.modules} modules, {size}"
        case Upsampler():
            of = f" of {found.generation}" if found.generation else ""
            yield f"latent upsampler {found.scale}{of}, {size}"
        case _:
            yield f"nothing that a pipeline takes by itself, {size}"
    for part in found.components:
        dtypes = ", ".join(f"{dtype} {count}" for dtype, count in part.dtypes.items())
        yield f"  {part.name:<21} {part.tensors:>5} tensors {in_words(part.bytes):>10}  {dtypes}"
    if isinstance(found, Checkpoint | GemmaRoot | ModelPart):
        yield from (f"  missing  {name}" for name in found.missing[:_SHOWN])
        if len(found.missing) > _SHOWN:
            yield f"  missing  and {len(found.missing) - _SHOWN} more (--json has them all)"
        if error := misfit_of(found, base, store().bases(), origin):
            yield f"base {base.name} can't load it: {error}"
            yield f"  to do: {error.remedy}"
        else:
            yield f"complete, as base {base.name} expects it"

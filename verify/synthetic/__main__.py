"""The command line: `python -m verify.synthetic OUT --variant 2.0|2.3|2.5`."""

import argparse
import importlib.util
import sys
from functools import partial
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError
from verify import command
from verify.synthetic import abilities
from verify.synthetic.architecture import FULL, SIZES, Blocks, GemmaFamily, Variant
from verify.synthetic.files import FileSet, Layout, Part
from verify.synthetic.staging import require_vacant


def run(args: argparse.Namespace) -> int:
    """Make the file set: 0."""
    out = args.out.absolute()
    require_vacant(out)
    for package in ("torch", "ltx_pipelines"):
        _find(package)
    variant, layout = Variant(args.variant), Layout(args.layout)
    gemma = GemmaFamily(args.gemma) if args.gemma else variant.gemma
    abilities.require(_find("ltx_core"), variant, gemma, layout)
    # torch and upstream take seconds to import: not before the arguments are known to be good.
    import torch

    from verify.synthetic import build, gemma_root, progress

    size = SIZES[args.size]
    # Small sets are the same on every machine; a GPU draws other values.
    on_gpu = size == FULL and torch.cuda.is_available()
    build.build_file_set(
        FileSet(out, layout),
        variant,
        size,
        size.gemma[gemma],
        gemma_root.GemmaStorage(gemma_root.GEMMA_DTYPES[args.gemma_dtype], args.gemma_shards),
        seed=args.seed,
        blocks=Blocks(args.blocks),
        only=args.only,
        device="cuda" if on_gpu else "cpu",
        progress=progress.on_stderr(),
    )
    for file in sorted(p for p in out.rglob("*") if p.is_file()):
        print(f"{file.stat().st_size:>12,}  {file}")
    return 0


def _find(package: str) -> Path:
    """The folder of `package`, which is not imported. Raises: OutsideError (it is not there)."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise OutsideError(
            f"{package} is not installed in {sys.executable}",
            remedy="use the Python that `make install` made, or put upstream's packages on "
            "PYTHONPATH",
        )
    return Path(spec.origin).parent


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.synthetic",
        description="Make a random file set of a true LTX-2 architecture.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    parser.add_argument(
        "--variant", required=True, choices=[v.value for v in Variant], help="2.0 is LTX-2 19B"
    )
    parser.add_argument(
        "--gemma",
        choices=[g.value for g in GemmaFamily],
        help="the text encoder (default: the one that the variant was trained with)",
    )
    parser.add_argument(
        "--layout",
        default=Layout.MONOLITH.value,
        choices=[layout.value for layout in Layout],
        help="one checkpoint beside a Gemma root, or a file a component",
    )
    parser.add_argument(
        "--size",
        default="tiny",
        choices=list(SIZES),
        help="full takes up to 75 GiB of disk, and hours where no GPU draws it",
    )
    parser.add_argument(
        "--blocks",
        default="bf16",
        choices=[blocks.value for blocks in Blocks],
        help="how the Linears of the transformer blocks are stored",
    )
    parser.add_argument(
        "--only",
        type=_parts,
        default=tuple(Part),
        metavar="PART,...",
        help=f"make these alone: {', '.join(part.value for part in Part)}",
    )
    parser.add_argument("--gemma-dtype", default="bf16", choices=["bf16", "f16", "f32"])
    parser.add_argument("--gemma-shards", type=_positive, default=2, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    return parser


def _parts(text: str) -> tuple[Part, ...]:
    """Raises: ValueError, of which argparse makes a sentence."""
    try:
        return tuple(Part(name) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; name some of {', '.join(part.value for part in Part)}"
        ) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())

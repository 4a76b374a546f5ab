"""The options that name weights, for every command that runs pipelines."""

from __future__ import annotations

import argparse
from pathlib import Path

from ltx2_patcher.values.errors import UsageError
from verify.clips.models import FLAGS, Models, of_files
from verify.synthetic.files import file_set


def add_weights(parser: argparse.ArgumentParser) -> None:
    """The parser takes --files, and upstream's own flags for weights."""
    group = parser.add_argument_group("weights: a random set, or your own by upstream's flags")
    group.add_argument("--files", type=Path, metavar="DIR", help="a set of verify.synthetic")
    for flag, what in FLAGS.items():
        group.add_argument(flag, dest=flag, type=Path, metavar="PATH", help=what)


def weights_of(args: argparse.Namespace) -> Models | None:
    """The weights that were named; None where none were.

    Raises: UsageError (named in two ways, or a folder that is no file set).
    """
    named: dict[str, Path | None] = {flag: getattr(args, flag) for flag in FLAGS}
    paths = {flag: path.expanduser().absolute() for flag, path in named.items() if path}
    if args.files is None:
        return Models(paths, random=False) if paths else None
    if paths:
        raise UsageError(
            f"--files and {next(iter(paths))} both name weights", remedy="leave one of them out"
        )
    models = of_files(file_set(args.files.expanduser().absolute()))
    if not models.paths:
        raise UsageError(
            f"{args.files} holds no file set", remedy="make one with `python -m verify.synthetic`"
        )
    return models

"""A command line of ours that carries one of upstream's behind `--`."""

from __future__ import annotations

from collections.abc import Sequence


def split_extra(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """What stands before the first `--`, and what stands behind it, for upstream's scripts."""
    at = argv.index("--") if "--" in argv else len(argv)
    return list(argv[:at]), tuple(argv[at + 1 :])

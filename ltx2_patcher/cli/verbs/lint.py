"""Check every series: patches, lock, overlay, symbols."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.lint import could_share, lint

    checked, alike = lint(store()), could_share(store())
    lines = [f"{item.base}: {item.patches} patches, sound" for item in checked]
    lines += [
        f"{item.patch} is alike on {' and '.join(item.bases)}: share it with "
        "`ltx2-patcher export --in-place`"
        for item in alike
    ]
    show(args, checked, lines)
    return 0

"""Put everything back as it was before apply."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_dry_run, add_place, asked_base, store, tree_of
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.apply import Applied


def options(parser: ArgumentParser) -> None:
    add_place(parser)
    add_dry_run(parser)


def run(args: Namespace) -> int:
    data, asked = store(), asked_base(args)
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import unapply_installed

        unapplied = unapply_installed(data, asked, args.site_packages, dry_run=args.dry_run)
    else:
        from ltx2_patcher.jobs.series.apply import unapply_tree

        unapplied = unapply_tree(data, asked, tree_of(args), dry_run=args.dry_run)
    show(args, unapplied, _lines(unapplied))
    return 0


def _lines(unapplied: Applied) -> Iterator[str]:
    if unapplied.action == "finished":
        yield f"a run was cut off here and left {len(unapplied.finished)} files, which come first"
    elif unapplied.action == "nothing to do":
        yield f"nothing to do: {unapplied.place} is not patched"
    else:
        yield f"{unapplied.place} is as it was before the patches"

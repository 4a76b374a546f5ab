"""Put everything back as it was before apply."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_dry_run, add_place, store, tree_of
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
    data = store()
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import installed_status, unapply_installed

        asked = data.base(args.base) if args.base else None
        base = data.base(installed_status(data, args.site_packages, asked).base)
        done = unapply_installed(data, base, args.site_packages, dry_run=args.dry_run)
    else:
        from ltx2_patcher.jobs.series.apply import unapply_tree

        asked = data.base(args.base) if args.base else None
        done = unapply_tree(data, asked, tree_of(args), dry_run=args.dry_run)
    show(args, done, _removed(done))
    return 0


def _removed(done: Applied) -> Iterator[str]:
    if done.action == "finished":
        yield f"a run was cut off here and left {len(done.finished)} files, which come first"
    elif done.action == "nothing to do":
        yield f"nothing to do: {done.place} is not patched"
    else:
        yield f"{done.place} is as it was before the patches"

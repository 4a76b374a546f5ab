"""Tell how a tree or an environment stands."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, add_place, store, tree_of
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from ltx2_patcher.jobs.series.status import Status


def options(parser: ArgumentParser) -> None:
    add_place(parser)
    add_json(parser)


def run(args: Namespace) -> int:
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import installed_status

        asked = store().base(args.base) if args.base else None
        status = installed_status(store(), args.site_packages, asked)
    else:
        status = _tree_status(args, tree_of(args))
    show(args, status, _standing(status))
    return 0


def _tree_status(args: Namespace, tree: Path) -> Status:
    from ltx2_patcher.jobs.series.status import tree_status

    data = store()
    return tree_status(data, tree, data.base(args.base) if args.base else None)


def _standing(status: Status) -> Iterator[str]:
    from ltx2_patcher.values.series import Standing

    judgement = status.judgement
    group = f", up to {judgement.group}" if judgement.group else ""
    yield f"{status.place}: {judgement.standing.value}{group}"
    merged = f" merged into {status.revision[:12]}" if status.revision else ""
    yield f"  base {status.base}{merged}, source {status.source}"
    for name in status.patches:
        yield f"  in      {name}"
    for name in judgement.differing:
        yield f"  differs {name}"
    if judgement.standing is Standing.EDITED:
        yield "  edited, or at a revision that is no base: `apply --dry-run` tells what supports it"
    if status.cut_off:
        yield "  a run was cut off here: run apply or unapply again to finish it"

"""Tell how a tree or an environment stands."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, add_place, asked_base, store, tree_of
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.status import Status


def options(parser: ArgumentParser) -> None:
    add_place(parser)
    add_json(parser)


def run(args: Namespace) -> int:
    data, asked = store(), asked_base(args)
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import installed_status

        status = installed_status(data, args.site_packages, asked)
    else:
        from ltx2_patcher.jobs.series.status import tree_status

        status = tree_status(data, tree_of(args), asked)
    show(args, status, _lines(status))
    return 0


def _lines(status: Status) -> Iterator[str]:
    from ltx2_patcher.values.series import Standing

    judgement = status.judgement
    group = f", up to {judgement.group}" if judgement.group else ""
    yield f"{status.place}: {judgement.standing.value}{group}"
    if judgement.standing is Standing.MISSING:
        yield "  no LTX-2: no file that a patch goes into is there"
        return
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

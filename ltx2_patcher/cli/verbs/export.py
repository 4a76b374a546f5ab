"""Write the commits of a patched tree back as the series, or as one mailbox."""

from __future__ import annotations

import sys

from ltx2_patcher.cli.options import (
    DEFAULT_BASE,
    add_dry_run,
    base_or_default,
    path,
    store,
    tree_of,
)
from ltx2_patcher.cli.report import show
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.export import Exported
    from ltx2_patcher.jobs.series.in_place import ExportedInPlace


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--base", help=f"default: {DEFAULT_BASE}; with --check every one")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--tree", type=path, metavar="DIR", help="default: the checkout in vendor/")
    place.add_argument(
        "--check",
        action="store_true",
        help="only check that exporting gives patches/ back byte for byte; no tree is looked at",
    )
    place.add_argument(
        "--mbox",
        type=path,
        metavar="FILE",
        help="write the whole series, overlay first, as one file for plain `git am`, or to "
        "stdout (-); the tree is not looked at",
    )
    place.add_argument(
        "--in-place",
        action="store_true",
        help="take patches/ as it lies: lock the overlay's files, and let bases share what they "
        "have alike; no tree is looked at",
    )
    add_dry_run(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.export import export, mailbox, write_mailbox

    data = store()
    if args.check:
        return _check_export(args)
    if args.in_place:
        return _export_in_place(args)
    base = base_or_default(data, args)
    if args.mbox and str(args.mbox) == "-":
        sys.stdout.buffer.write(mailbox(data, base))
        return 0
    if args.mbox:
        if args.dry_run:
            mailbox(data, base)
        else:
            write_mailbox(data, base, args.mbox)
        written = {"base": base.name, "commit": base.commit, "mbox": args.mbox}
        show(args, written, [f"the series for `git am` on {base.commit[:12]}: {args.mbox}"])
        return 0
    exported = export(data, base, tree_of(args), dry_run=args.dry_run)
    summary = f"{len(exported.patches)} patches of {exported.base}"
    show(args, exported, _lines(exported, summary))
    return 0


def _export_in_place(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.in_place import export_in_place

    exported = export_in_place(store(), dry_run=args.dry_run)
    count = len(exported.changed) + len(exported.removed)
    show(args, exported, _lines(exported, f"patches/ as it lies: {count or 'no'} files change"))
    return 0


def _lines(exported: Exported | ExportedInPlace, summary: str) -> Iterator[str]:
    if exported.finished:
        yield f"a change was cut off here and is finished now: {exported.finished}"
    yield summary
    yield from (f"  written  {file}" for file in exported.changed)
    yield from (f"  removed  {file}" for file in exported.removed)


def _check_export(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.export import check_export

    data = store()
    asked = data.bases() if args.base is None else (data.base(args.base),)
    checked = [check_export(data, base) for base in asked]
    if not any(item.source for item in checked):
        raise UsageError(
            f"no files of upstream are here to check {', '.join(b.name for b in asked)} with",
            remedy=f"obtain them with `make patch BASE={asked[0].name}`",
        )
    nowhere = "not checked, no files of upstream are here to do it with"
    lines = [
        f"{item.base}: {item.patches} patches, "
        + (f"the same byte for byte (on vendor/{item.source})" if item.source else nowhere)
        for item in checked
    ]
    show(args, checked, lines)
    return 0

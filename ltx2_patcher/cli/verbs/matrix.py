"""Try each patch against each revision of upstream."""

from __future__ import annotations

from ltx2_patcher.cli.drift_report import MARKS, hunks_as_json, row_as_json, sentences
from ltx2_patcher.cli.options import add_json, path, store
from ltx2_patcher.cli.report import show
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.matrix import Matrix
    from ltx2_patcher.rules.series.drift import Laid
    from ltx2_patcher.rules.series.three_way import Breach

_LEGEND = (
    "one mark a patch, in the order of its series:",
    "= strict  ~ 3-way  + landed  - left out  x does not fit  ! fits, but the result is no good",
)


def options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "revisions",
        nargs="*",
        metavar="REF_OR_RANGE",
        help="commits, tags and branches, ranges along first parents, names of bases "
        "(default: every revision of upstream's main branch that holds code)",
    )
    parser.add_argument(
        "--base", action="append", default=[], help="the series of this base alone; may stand twice"
    )
    parser.add_argument(
        "--every",
        action="store_true",
        help="show every series on every revision, and what first breaks each patch",
    )
    parser.add_argument("--html", type=path, metavar="FILE", help="write it as one page too")
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail where a revision that is recorded as supported no longer is",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="record in patches/supported.json what is supported now",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series import matrix as job
    from ltx2_patcher.jobs.series.history import history_with

    if (args.check or args.write) and args.base:
        raise UsageError(
            "a revision is supported by whichever base fits", remedy="leave --base out"
        )
    if args.write and (args.revisions or args.check):
        raise UsageError(
            "--write records every revision, and what --check would compare with",
            remedy="give --write alone",
        )
    data = store()
    bases = [data.base(name) for name in args.base]
    history = history_with(data, job.ends(args.revisions, data.bases()))
    matrix = job.matrix(data, history, args.revisions, bases)
    if args.html:
        from ltx2_patcher.cli.matrix_page import write_page

        write_page(args.html, matrix)
    notes = []
    if args.write:
        notes.append(f"{len(job.write(data, matrix))} supported revisions: {data.supported_file}")
    if args.check:
        recorded = job.check(data, matrix, whole=not args.revisions)
        notes.append(f"{len(recorded)} recorded revisions are still supported")
        known = {one.commit for one in recorded}
        notes += [
            f"never recorded as supported: {row.revision.commit[:12]} of {row.revision.date}"
            for row in matrix.rows
            if row.support is None and row.revision.commit not in known
        ]
    shown = [*_every(matrix), *_breaks(matrix)] if args.every else _table(matrix)
    show(args, _as_json(matrix), [*_summary(matrix), *shown, *notes])
    return 0


def _table(matrix: Matrix) -> Iterator[str]:
    """Of each revision the series that supports it, or comes nearest to."""
    from ltx2_patcher.rules.series.drift import nearest

    yield f"{_HEAD}its patches"
    for row in matrix.rows:
        support = row.support
        laid = support or nearest(row.laid.values())
        by = _supported_by(support) if support else f"none ({laid.base})"
        yield f"{row.revision.commit[:10]}  {row.revision.date}  {by:<18}  {_marks(laid)}"
    yield from _LEGEND


_HEAD = f"{'commit':<10}  {'date':<10}  {'supported by':<18}  "


def _supported_by(laid: Laid) -> str:
    return f"{laid.base}, {laid.how.value}"


def _every(matrix: Matrix) -> Iterator[str]:
    width = {
        base.name: max(len(base.name), *(len(row.laid[base.name].fits) + 2 for row in matrix.rows))
        for base in matrix.bases
    }
    heads = "  ".join(f"{base.name:<{width[base.name]}}" for base in matrix.bases)
    yield f"{_HEAD}{heads}".rstrip()
    for row in matrix.rows:
        cells = (f"{_marks(row.laid[b.name]):<{width[b.name]}}" for b in matrix.bases)
        support = row.support
        by = _supported_by(support) if support else "-"
        head = f"{row.revision.commit[:10]}  {row.revision.date}  {by:<18}"
        yield f"{head}  {'  '.join(cells)}".rstrip()
    yield from _LEGEND


def _marks(laid: Laid) -> str:
    return "".join(MARKS[fit.how.value] for fit in laid.fits) + (" !" if laid.faults else "")


def _breaks(matrix: Matrix) -> Iterator[str]:
    for base in matrix.bases:
        own = [one for one in matrix.breaks if one.base == base.name]
        if own:
            yield f"what first breaks the series of {base.name}, to newer and to older revisions:"
        for one in own:
            where = f"{one.revision.commit[:10]} of {one.revision.date}"
            yield f"  {one.patch.name} ({one.side}: {where}, {_counted(one.breaches)})"
            yield f"    {sentences(one.breaches)[0]}"
        for row in matrix.rows:
            for fault in row.laid[base.name].faults:
                yield f"  on {row.revision.commit[:10]} every patch fits, but {fault}"


def _counted(breaches: tuple[Breach, ...]) -> str:
    return f"{len(breaches)} hunk{'s' if len(breaches) > 1 else ''}"


def _summary(matrix: Matrix) -> Iterator[str]:
    supported = [laid for row in matrix.rows if (laid := row.support)]
    yield f"{len(supported)} of {len(matrix.rows)} revisions are supported"
    for base in matrix.bases:
        hows = [laid.how.value for laid in supported if laid.base == base.name]
        if hows:
            parts = ", ".join(f"{hows.count(how)} {how}" for how in sorted(set(hows))[::-1])
            yield f"  {len(hows):>3} by {base.name}: {parts}"


def _as_json(matrix: Matrix) -> dict[str, object]:
    return {
        "bases": [
            {"name": base.name, "commit": base.commit, "date": base.date} for base in matrix.bases
        ],
        "revisions": [row_as_json(row) for row in matrix.rows],
        "breaks": [
            {
                "base": one.base,
                "patch": one.patch.name,
                "side": one.side,
                "commit": one.revision.commit,
                "date": one.revision.date,
                "hunks": hunks_as_json(one.breaches),
            }
            for one in matrix.breaks
        ],
    }

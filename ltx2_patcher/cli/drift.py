"""Verbs that watch upstream: matrix, outdated."""

from __future__ import annotations

from ltx2_patcher.cli.report import add_json, path, show, store
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.matrix import Matrix, Row
    from ltx2_patcher.jobs.series.outdated import Drifted, News, Outdated
    from ltx2_patcher.rules.series.drift import Laid
    from ltx2_patcher.rules.series.three_way import Breach

NEWS = 10
"""Exit code of `outdated` where there is something to report: no class of error has it."""

MARKS = {"strict": "=", "3-way": "~", "landed": "+", "does not fit": "x"}
_LINES = 12
"""Of one edit of upstream's that a report shows; its length is told."""
_LEGEND = "= strict   ~ 3-way   + landed   x does not fit   ! fits, but the result is no good"


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""
    matrix = verbs.add_parser(
        "matrix", help="each patch against each revision of upstream: what serves, what breaks"
    )
    matrix.add_argument(
        "revisions",
        nargs="*",
        metavar="REF_OR_RANGE",
        help="commits, ranges along first parents, names of bases "
        "(default: every revision of upstream's main branch that holds code)",
    )
    matrix.add_argument(
        "--base", action="append", default=[], help="the series of this base alone; may stand twice"
    )
    matrix.add_argument("--html", type=path, metavar="FILE", help="write it as one page too")
    matrix.add_argument(
        "--check",
        action="store_true",
        help="fail where a revision that is recorded as served no longer is",
    )
    matrix.add_argument(
        "--write", action="store_true", help="record in patches/served.json what is served now"
    )
    add_json(matrix)
    matrix.set_defaults(verb=_matrix)

    outdated = verbs.add_parser(
        "outdated",
        help="report revisions of upstream newer than the newest base, each once; "
        f"exit code {NEWS} where there is one",
    )
    add_json(outdated)
    outdated.set_defaults(verb=_outdated)


def _matrix(args: Namespace) -> int:
    from ltx2_patcher.jobs.series import matrix as job
    from ltx2_patcher.jobs.series.history import history

    if (args.check or args.write) and args.base:
        raise UsageError("a revision is served by whichever base fits", remedy="leave --base out")
    if args.write and (args.revisions or args.check):
        raise UsageError(
            "--write records every revision, and what --check would compare with",
            remedy="give --write alone",
        )
    data = store()
    bases = [data.base(name) for name in args.base]
    made = job.matrix(data, history(data), args.revisions, bases)
    if args.html:
        from ltx2_patcher.cli.matrix_page import write_page

        write_page(args.html, made)
    notes = []
    if args.write:
        notes.append(f"{len(job.write(data, made))} served revisions: {data.served_file}")
    if args.check:
        recorded = job.check(data, made, whole=not args.revisions)
        notes.append(f"{len(recorded)} recorded revisions are still served")
        known = {one.commit for one in recorded}
        notes += [
            f"never recorded as served: {row.revision.commit[:12]} of {row.revision.date}"
            for row in made.rows
            if row.server is None and row.revision.commit not in known
        ]
    show(args, _as_json(made), [*_table(made), *_breaks(made), *_summary(made), *notes])
    return 0


def _table(made: Matrix) -> Iterator[str]:
    width = {
        base.name: max(len(base.name), *(len(row.laid[base.name].fits) + 2 for row in made.rows))
        for base in made.bases
    }
    heads = "  ".join(f"{base.name:<{width[base.name]}}" for base in made.bases)
    yield f"{'commit':<10}  {'date':<10}  {'served by':<18}  {heads}".rstrip()
    for row in made.rows:
        cells = (f"{_marks(row.laid[b.name]):<{width[b.name]}}" for b in made.bases)
        served = row.server
        by = f"{served.base}, {served.how.value}" if served else "-"
        head = f"{row.revision.commit[:10]}  {row.revision.date}  {by:<18}"
        yield f"{head}  {'  '.join(cells)}".rstrip()
    yield f"one mark a patch, in the order of its series: {_LEGEND}"


def _marks(laid: Laid) -> str:
    return "".join(MARKS[fit.how.value] for fit in laid.fits) + (" !" if laid.faults else "")


def _breaks(made: Matrix) -> Iterator[str]:
    for base in made.bases:
        own = [one for one in made.breaks if one.base == base.name]
        if own:
            yield f"what first breaks the series of {base.name}, to newer and to older revisions:"
        for one in own:
            where = f"{one.revision.commit[:10]} of {one.revision.date}"
            yield f"  {one.patch.name} ({one.side}: {where}, {_counted(one.breaches)})"
            yield f"    {_sentences(one.breaches)[0]}"
        for row in made.rows:
            for fault in row.laid[base.name].faults:
                yield f"  on {row.revision.commit[:10]} every patch fits, but {fault}"


def _counted(breaches: tuple[Breach, ...]) -> str:
    return f"{len(breaches)} hunk{'s' if len(breaches) > 1 else ''}"


def _sentences(breaches: tuple[Breach, ...]) -> list[str]:
    from ltx2_patcher.rules.series.drift import in_words

    return in_words(breaches)


def _summary(made: Matrix) -> Iterator[str]:
    served = [laid for row in made.rows if (laid := row.server)]
    counts = []
    for base in made.bases:
        hows = [laid.how.value for laid in served if laid.base == base.name]
        if hows:
            parts = ", ".join(f"{hows.count(how)} {how}" for how in sorted(set(hows))[::-1])
            counts.append(f"{base.name} {len(hows)} ({parts})")
    by = f": {', '.join(counts)}" if counts else ""
    yield f"{len(served)} of {len(made.rows)} revisions are served{by}"


def _as_json(made: Matrix) -> dict[str, object]:
    return {
        "bases": [
            {"name": base.name, "commit": base.commit, "date": base.date} for base in made.bases
        ],
        "revisions": [_row_as_json(row) for row in made.rows],
        "breaks": [
            {
                "base": one.base,
                "patch": one.patch.name,
                "side": one.side,
                "commit": one.revision.commit,
                "date": one.revision.date,
                "hunks": _hunks(one.breaches),
            }
            for one in made.breaks
        ],
    }


def _row_as_json(row: Row) -> dict[str, object]:
    served = row.server
    return {
        "commit": row.revision.commit,
        "date": row.revision.date,
        "subject": row.revision.subject,
        "served_by": served.base if served else None,
        "how": served.how.value if served else None,
        "patches": {
            name: {fit.patch.name: fit.how.value for fit in laid.fits}
            for name, laid in row.laid.items()
        },
        "hunks": {
            name: {fit.patch.name: _hunks(fit.breaches) for fit in laid.misfits}
            for name, laid in row.laid.items()
        },
        "faults": {name: laid.faults for name, laid in row.laid.items()},
        "drifted_lines": {name: laid.drift for name, laid in row.laid.items()},
    }


def _hunks(breaches: tuple[Breach, ...]) -> list[dict[str, str]]:
    return [
        {
            "path": breach.path,
            "hunk": breach.hunk.header.strip(),
            "reason": _sentences((breach,))[0],
        }
        for breach in breaches
    ]


def _outdated(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.outdated import outdated

    done = outdated(store())
    value = {
        "base": done.base.name,
        "commit": done.base.commit,
        "fresh": [
            {
                **_row_as_json(news.row),
                "files": [
                    {
                        "path": file.path,
                        "added": file.added,
                        "removed": file.removed,
                        "gone": file.gone,
                        "moved": file.moved,
                        "near": list(_near(file)),
                    }
                    for file in news.files
                ],
            }
            for news in done.fresh
        ],
        "reported": [revision.commit for revision in done.reported],
    }
    show(args, value, _told(done))
    return NEWS if done.fresh else 0


def _told(done: Outdated) -> Iterator[str]:
    if not done.fresh and not done.reported:
        yield f"upstream has nothing newer than the newest base, {done.base.name}"
        return
    for news in reversed(done.fresh):
        yield from _told_of(done, news)
    if done.reported:
        commits = ", ".join(revision.commit[:10] for revision in done.reported)
        yield f"newer than {done.base.name} and reported before: {commits}"
    if done.fresh:
        yield (
            f"{len(done.fresh)} new on upstream since {done.base.name}; next: "
            f"ltx2-patcher rebase --onto {done.fresh[0].row.revision.commit[:12]}"
        )


def _told_of(done: Outdated, news: News) -> Iterator[str]:
    revision, laid, served = news.row.revision, news.row.laid[done.base.name], news.row.server
    by = f"served by {served.base}, {served.how.value}" if served else "no base serves it"
    yield f"{revision.commit[:10]} of {revision.date}, {revision.subject}: {by}"
    for fit in laid.fits:
        yield f"  {MARKS[fit.how.value]} {fit.patch.name}: {fit.how.value}"
        yield from (f"      {said}" for said in _sentences(fit.breaches))
    yield from (f"  every patch fits, but {fault}" for fault in laid.faults)
    for file in news.files:
        state = "gone" if file.gone else f"+{file.added} -{file.removed}"
        moved = f", now {file.moved}" if file.moved else ""
        yield f"  {state:>12}  {file.path}{moved}"
        yield from (f"                {line}" for line in _near(file))


def _near(file: Drifted) -> Iterator[str]:
    """Upstream's edits at our hunks, as the hunks of a diff without context."""
    from ltx2_patcher.rules.series.diff_text import edit_text

    for edit in file.near:
        yield f"@@ line {edit.start + 1}: {len(edit.old)} taken, {len(edit.new)} put @@"
        lines = edit_text(edit)
        yield from lines[:_LINES]
        if len(lines) > _LINES:
            yield f"... {len(lines) - _LINES} lines more"

"""Report revisions of upstream newer than the newest base, each once."""

from __future__ import annotations

from ltx2_patcher.cli.drift_report import MARKS, row_as_json, sentences
from ltx2_patcher.cli.options import add_json, store
from ltx2_patcher.cli.report import show
from ltx2_patcher.values.errors import NEWS

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.outdated import Drifted, News, Outdated

_LINES = 12
"""Of one edit of upstream's that a report shows; its length is told."""


def options(parser: ArgumentParser) -> None:
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.outdated import outdated

    done = outdated(store())
    value = {
        "base": done.base.name,
        "commit": done.base.commit,
        "fresh": [
            {
                **row_as_json(news.row),
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
    revision, laid, support = news.row.revision, news.row.laid[done.base.name], news.row.support
    by = f"supported by {support.base}, {support.how.value}" if support else "no base supports it"
    yield f"{revision.commit[:10]} of {revision.date}, {revision.subject}: {by}"
    for fit in laid.fits:
        yield f"  {MARKS[fit.how.value]} {fit.patch.name}: {fit.how.value}"
        yield from (f"      {said}" for said in sentences(fit.breaches))
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

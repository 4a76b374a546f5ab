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
    from ltx2_patcher.jobs.series import outdated as job

    outdated = job.outdated(store())
    value = {
        "base": outdated.base.name,
        "commit": outdated.base.commit,
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
            for news in outdated.fresh
        ],
        "reported": [revision.commit for revision in outdated.reported],
    }
    show(args, value, _lines(outdated))
    return NEWS if outdated.fresh else 0


def _lines(outdated: Outdated) -> Iterator[str]:
    if not outdated.fresh and not outdated.reported:
        yield f"upstream has nothing newer than the newest base, {outdated.base.name}"
        return
    for news in reversed(outdated.fresh):
        yield from _news_lines(outdated, news)
    if outdated.reported:
        commits = ", ".join(revision.commit[:10] for revision in outdated.reported)
        yield f"newer than {outdated.base.name} and reported before: {commits}"
    if outdated.fresh:
        yield (
            f"{len(outdated.fresh)} new on upstream since {outdated.base.name}; next: "
            f"ltx2-patcher rebase --onto {outdated.fresh[0].row.revision.commit[:12]}"
        )


def _news_lines(outdated: Outdated, news: News) -> Iterator[str]:
    revision, laid, support = news.row.revision, news.row.laid[outdated.base.name], news.row.support
    by = f"supported by {support.base}, {support.how.value}" if support else "no base supports it"
    yield f"{revision.commit[:10]} of {revision.date}, {revision.subject}: {by}"
    for fit in laid.fits:
        yield f"  {MARKS[fit.how.value]} {fit.patch.name}: {fit.how.value}"
        yield from (f"      {sentence}" for sentence in sentences(fit.breaches))
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

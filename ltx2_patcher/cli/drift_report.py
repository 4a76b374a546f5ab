"""One revision of the matrix as JSON and in marks, for matrix and outdated."""

from __future__ import annotations

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from ltx2_patcher.jobs.series.matrix import Row
    from ltx2_patcher.rules.series.three_way import Breach

MARKS = {"strict": "=", "3-way": "~", "landed": "+", "left out": "-", "does not fit": "x"}


def row_as_json(row: Row) -> dict[str, object]:
    """All that is known of one revision."""
    support = row.support
    return {
        "commit": row.revision.commit,
        "date": row.revision.date,
        "subject": row.revision.subject,
        "supported_by": support.base if support else None,
        "how": support.how.value if support else None,
        "patches": {
            name: {fit.patch.name: fit.how.value for fit in laid.fits}
            for name, laid in row.laid.items()
        },
        "hunks": {
            name: {fit.patch.name: hunks_as_json(fit.breaches) for fit in laid.misfits}
            for name, laid in row.laid.items()
        },
        "faults": {name: laid.faults for name, laid in row.laid.items()},
        "drifted_lines": {name: laid.drift for name, laid in row.laid.items()},
    }


def hunks_as_json(breaches: tuple[Breach, ...]) -> list[dict[str, str]]:
    """The hunks that do not fit, each with its reason."""
    return [
        {
            "path": breach.path,
            "hunk": breach.hunk.header.strip(),
            "reason": sentences((breach,))[0],
        }
        for breach in breaches
    ]


def sentences(breaches: tuple[Breach, ...]) -> list[str]:
    """A sentence a hunk that does not fit."""
    from ltx2_patcher.rules.series.drift import in_words

    return in_words(breaches)

"""All that recordings and VRAM reports have to say, as one page that needs nothing beside it.

Whoever decides whether 4-bit is good enough looks at this page: the verdicts first, then the clips
side by side and in step, where they differ, by how much, and what each took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from ltx2_patcher.boundaries import disk
from verify.clips import stills
from verify.clips.compare import compare
from verify.clips.judge import BoundCheck, ClipVerdict, held_to, judge, read_bounds, spelled
from verify.clips.manifest import Recording
from verify.clips.models import WeightsKind
from verify.clips.report_case import BAD, Column, case_section
from verify.clips.report_origin import memory_section, origin_section, state_of
from verify.clips.vram_report import VramReport

_HERE = Path(__file__).parent

# The page says of itself that it loads nothing.
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
_SHOWS: Mapping[WeightsKind, str] = {
    "tiny": "Tiny random weights: this shows that every step works and how far quantizing carries "
    "through it, not what a clip looks like.",
    "random": "Random weights of the true size: this shows that every step works and fits, not "
    "what a clip looks like.",
    "real": "Real weights: the clips show what a seed gives, with and without quantizing.",
}


def write_report(
    path: Path, reference: Recording, others: Sequence[Recording], vram: Sequence[VramReport]
) -> tuple[ClipVerdict, ...]:
    """The page lies at `path`; the verdict on each of `others`.

    Raises: UsageError, InvalidError (as `compare`), ConflictError (no plain file can stand there),
    OutsideError.
    """
    disk.read(path)
    bounds = read_bounds()
    columns = []
    for other in others:
        comparison = compare(reference, other)
        held = held_to(comparison, bounds)
        columns.append(Column(other, comparison, judge(comparison, bounds), held))
    disk.replace(path.absolute(), page(reference, columns, vram).encode())
    return tuple(column.verdict for column in columns)


def page(reference: Recording, columns: Sequence[Column], vram: Sequence[VramReport]) -> str:
    """The whole document."""
    style = (_HERE / "report.css").read_text("utf-8").replace("LEGEND", stills.legend_css())
    script = (_HERE / "report.js").read_text("utf-8")
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>LTX-2 reference clips</title><style>{style}</style></head><body>",
            *_head(reference, columns),
            *_toolbar(reference, vram),
            "<main>",
            *(
                part
                for case in reference.manifest.cases
                for part in case_section(reference, columns, case)
            ),
            *memory_section(vram),
            *origin_section([reference, *(column.recording for column in columns)]),
            f"</main><script>{script}</script></body></html>\n",
        )
    )


def _head(reference: Recording, columns: Sequence[Column]) -> Iterator[str]:
    made = reference.manifest
    yield "<header><h1>LTX-2 reference clips</h1>"
    yield (
        f'<p class="sub">{len(made.cases)} clips of {escape(str(made.shape))}, base '
        f"{escape(made.upstream.base)}, on {escape(made.machine)}; reference: "
        f"<b>{escape(made.label)}</b></p>"
    )
    yield f'<p class="kind {made.weights}">{escape(_SHOWS[made.weights])}</p>'
    yield '<div class="verdicts">'
    for number, column in enumerate(columns, 1):
        yield from _verdict(column, number)
    yield "</div></header>"


def _verdict(column: Column, number: int) -> Iterator[str]:
    verdict = column.verdict
    state, mark, word = state_of(verdict.passed)
    asked = "within bounds" if column.bounds else "equal"
    outcome = asked if verdict.passed else f"not {asked}"
    yield (
        f'<section class="verdict {state}"><h2><span class="mark" aria-hidden="true">{mark}</span>'
        f'<span class="swatch s{number}"></span>{escape(column.label)}: {escape(outcome)}</h2>'
        f'<p class="said"><span class="hidden">{word}: </span>{escape(verdict.text)}.</p>'
    )
    if column.bounds is not None:
        yield '<dl class="meters">'
        for measure in dict.fromkeys(check.measure for check in verdict.checks):
            worst = min(
                (check for check in verdict.checks if check.measure == measure),
                key=lambda check: check.share,
            )
            yield _meter(worst)
        yield "</dl>"
        yield from _by_clip(verdict.checks)
    yield "</section>"


def _by_clip(checks: Sequence[BoundCheck]) -> Iterator[str]:
    measures = list(dict.fromkeys(check.measure for check in checks))
    yield '<details><summary>By clip</summary><div class="wide"><table><thead><tr><th></th>'
    yield "".join(f'<th scope="col">{escape(measure)}</th>' for measure in measures)
    yield "</tr></thead><tbody>"
    for case in dict.fromkeys(check.case for check in checks):
        cells = "".join(
            f'<td{"" if check.passed else BAD} title="{escape(check.where)}">'
            f"{spelled(check.value)}</td>"
            for check in checks
            if check.case == case
        )
        yield f'<tr><th scope="row"><a href="#{escape(case)}">{escape(case)}</a></th>{cells}</tr>'
    yield "</tbody></table></div></details>"


def _meter(check: BoundCheck) -> str:
    """The worst of one measure: the number, and where it stands between bound and best."""
    state, mark, _ = state_of(check.passed)
    title = escape(f"{check.case}, {check.where}")
    filled = 100 * max(0.0, check.share)
    return (
        f'<div class="meter {state}" title="{title}"><dt>{escape(check.measure)}</dt>'
        f'<dd><b>{spelled(check.value)}</b> <span class="bound">{mark} at least {check.bound:g}'
        f'</span><span class="bar"><i style="width:{filled:.1f}%"></i></span></dd></div>'
    )


def _toolbar(reference: Recording, vram: Sequence[VramReport]) -> Iterator[str]:
    links = "".join(
        f'<a href="#{escape(case.name)}">{escape(case.name)}</a>'
        for case in reference.manifest.cases
    )
    links += '<a href="#vram">memory</a>' if vram else ""
    yield (
        '<nav><button id="all" class="primary">Play all</button>'
        '<label>speed <select id="speed"><option value="1">1</option>'
        '<option value="0.5">1/2</option><option value="0.25">1/4</option>'
        '<option value="0.1">1/10</option></select></label>'
        '<label><input type="checkbox" id="loop" checked> loop</label>'
        f'<span class="links">{links}<a href="#origin">origin</a></span></nav>'
    )

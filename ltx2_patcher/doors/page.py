"""The matrix as one page that needs nothing beside it: no network, no script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.jobs.matrix import Matrix, Row
from ltx2_patcher.rules.drift import Laid, diff_lines, in_words
from ltx2_patcher.rules.replay import Breach, Fit, How

_SHOWN = 2
"""Breaking hunks in a cell's panel; `--json` has all."""

_HOW_TO = (
    "Hover over a cell, or click it or reach it with the Tab key, to see what stands in the way: "
    "our hunk, and in the same place the base's lines (&lt;) and upstream's (&gt;)."
)

_CLASSES = {
    How.STRICT: ("strict", "="),
    How.THREE_WAY: ("merged", "~"),
    How.LANDED: ("landed", "+"),
    How.MISFIT: ("misfit", "x"),
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #bbb; --panel: #f4f4f4;
  --strict: #b9e2c0; --merged: #f6e08a; --landed: #b5d3f5; --misfit: #e9967f; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #161616; --line: #555;
  --panel: #262626; --strict: #1f5a2c; --merged: #6b5600; --landed: #1d4676; --misfit: #83301c; } }
body { font: 14px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 1.5rem 1.5rem 50vh; }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: 2px 5px; text-align: center; }
th.name, th.base { text-align: left; font-weight: normal; white-space: nowrap; }
th.name { font-weight: 600; }
tbody.patch { border-top: 3px double var(--line); }
thead th { vertical-align: bottom; font-weight: normal; }
thead span { writing-mode: vertical-rl; transform: rotate(180deg); font-family: monospace; }
td.strict { background: var(--strict); }
td.merged { background: repeating-linear-gradient(45deg, var(--merged) 0 5px,
  var(--paper) 5px 7px); }
td.landed { background: var(--landed); border-style: dotted; }
td.misfit { background: var(--misfit); font-weight: bold; border-width: 2px; }
td.home { outline: 2px solid var(--ink); outline-offset: -3px; }
td[tabindex] { cursor: pointer; }
td .panel { display: none; position: fixed; left: 0; right: 0; bottom: 0; max-height: 46vh;
  overflow: auto; padding: .7rem 1.5rem; background: var(--panel); color: var(--ink);
  border-top: 2px solid var(--ink); text-align: left; font-weight: normal; z-index: 1; }
td:focus .panel { display: block; }
td:hover .panel { display: block; z-index: 2; }
pre { margin: .3rem 0 .8rem; font-size: 12px; }
.key td { min-width: 1.5em; } .key { margin: 1rem 0; }
"""


def write_page(path: Path, made: Matrix) -> None:
    """Write the page in one step. Raises: ConflictError where no plain file can stand there."""
    disk.read(path)
    disk.replace(path.absolute(), page(made).encode())


def page(made: Matrix) -> str:
    """Revisions across, oldest first; patches down, those of one name beside each other."""
    rows = made.rows[::-1]
    served = sum(1 for row in rows if row.server)
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>LTX-2 drift matrix</title><style>{_STYLE}</style></head><body>",
            "<h1>LTX-2 drift matrix</h1>",
            f"<p>{served} of {len(rows)} revisions of upstream are served. {_HOW_TO}</p>",
            _key(),
            "<table><thead><tr><th></th><th>base</th>",
            *(_head(row) for row in rows),
            "</tr></thead>",
            *_served(rows),
            *_patches(made, rows),
            "</table></body></html>\n",
        )
    )


def _key() -> str:
    cells = (
        f'<td class="{name}">{mark}</td><th class="base">{how.value}</th>'
        for how, (name, mark) in _CLASSES.items()
    )
    return (
        f'<table class="key"><tr>{"".join(cells)}<td class="home">&nbsp;</td>'
        '<th class="base">the base itself</th></tr></table>'
    )


def _head(row: Row) -> str:
    revision = row.revision
    return (
        f'<th scope="col" title="{escape(revision.subject)}">'
        f"<span>{revision.date} {revision.commit[:8]}</span></th>"
    )


def _served(rows: tuple[Row, ...]) -> Iterator[str]:
    yield '<tbody class="patch"><tr><th class="name">served by</th><th></th>'
    for row in rows:
        laid = row.server
        name, mark = _CLASSES[laid.how if laid else How.MISFIT]
        title = f"{laid.base}, {laid.how.value}" if laid else "no base"
        panel = (
            f'<div class="panel">{row.revision.commit[:12]}: {escape(title)}{_faults(row)}</div>'
        )
        yield f'<td class="{name}" tabindex="0" title="{escape(title)}">{mark}{panel}</td>'
    yield "</tr></tbody>"


def _faults(row: Row) -> str:
    return "".join(
        f"<br>{escape(name)}: every patch fits, but {escape(fault)}"
        for name, laid in row.laid.items()
        for fault in laid.faults
    )


def _patches(made: Matrix, rows: tuple[Row, ...]) -> Iterator[str]:
    having: dict[str, list[str]] = {}  # patch -> bases, both in the order of the series
    for base in made.bases:
        for fit in rows[0].laid[base.name].fits:
            having.setdefault(fit.patch.name, []).append(base.name)
    homes = {base.name: base.commit for base in made.bases}
    for patch, bases in having.items():
        yield '<tbody class="patch">'
        for place, name in enumerate(bases):
            title = f'<th class="name" rowspan="{len(bases)}">{escape(patch)}</th>'
            yield f'<tr>{title if place == 0 else ""}<th class="base">{escape(name)}</th>'
            first = _first_breaks(made, name, patch)
            for row in rows:
                home = " home" if row.revision.commit == homes[name] else ""
                yield _cell(row, row.laid[name], patch, home, first)
            yield "</tr>"
        yield "</tbody>"


def _first_breaks(made: Matrix, base: str, patch: str) -> str:
    places = [
        f"{one.revision.commit[:10]} of {one.revision.date} (going {one.side})"
        for one in made.breaks
        if (one.base, one.patch.name) == (base, patch)
    ]
    return f"<p>First breaks on {', and on '.join(places)}.</p>" if places else ""


def _cell(row: Row, laid: Laid, patch: str, home: str, first: str) -> str:
    fit = next(fit for fit in laid.fits if fit.patch.name == patch)
    name, mark = _CLASSES[fit.how]
    if fit.how is How.STRICT:
        return f'<td class="{name}{home}" title="strict">{mark}</td>'
    what = f"{patch} of {laid.base} on {row.revision.commit[:10]} of {row.revision.date}"
    panel = f'<div class="panel"><b>{escape(what)}: {fit.how.value}</b>{first}{_hunks(fit)}</div>'
    label = escape(f"{what}: {fit.how.value}")
    return f'<td class="{name}{home}" tabindex="0" aria-label="{label}">{mark}{panel}</td>'


def _hunks(fit: Fit) -> str:
    shown = "".join(_hunk(breach) for breach in fit.breaches[:_SHOWN])
    more = len(fit.breaches) - _SHOWN
    return f"{shown}<p>and {more} more hunks</p>" if more > 0 else shown


def _hunk(breach: Breach) -> str:
    (said,) = in_words((breach,))
    lines = "\n".join(f"{mark} {line}" for mark, line in diff_lines(breach))
    return f"<p>{escape(said)}</p><pre>{escape(lines)}</pre>"

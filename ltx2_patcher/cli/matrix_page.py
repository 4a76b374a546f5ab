"""The matrix as one page that needs nothing beside it: no network, no script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.jobs.series.matrix import Matrix, Row
from ltx2_patcher.rules.series.drift import Laid, diff_lines, in_words
from ltx2_patcher.rules.series.three_way import Breach, Fit, How

_SHOWN = 2
"""Breaking hunks in a cell's panel; `--json` has all."""

_HOW_TO = (
    "Hover over a cell to see what stands in the way: our hunk, and in the same place the base's "
    "lines (&lt;) and upstream's (&gt;). A click or the Tab key holds it;"
    " a click elsewhere lets go."
)

_CLASSES = {
    How.STRICT: ("strict", "="),
    How.THREE_WAY: ("merged", "~"),
    How.LANDED: ("landed", "+"),
    How.LEFT_OUT: ("left", "-"),
    How.MISFIT: ("misfit", "x"),
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #bbb; --panel: #f4f4f4;
  --focus: #0b57d0; --strict: #a9dccf; --merged: #f7e58f; --landed: #b5d3f5; --misfit: #ee9a78;
  --name: 21rem; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #161616; --line: #555;
  --panel: #262626; --focus: #8ab4f8; --strict: #0c5a49; --merged: #6b5a00; --landed: #1d4a80;
  --misfit: #a5441a; } }
@media (max-width: 60rem) { :root { --name: 8.5rem; } th.name { font-size: 12px; } }
html { scroll-padding: 11.5rem 0 48vh calc(var(--name) + 6rem); }
body { font: 14px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 1.5rem 1.5rem 50vh; }
table { border-spacing: 0; border: solid var(--line); border-width: 1px 0 0 1px; }
th, td { border: solid var(--line); border-width: 0 1px 1px 0; padding: 2px 5px;
  text-align: center; }
th { background: var(--paper); font-weight: normal; }
th.name, th.base { text-align: left; vertical-align: top; position: sticky; z-index: 1; }
th.name { left: 0; font-weight: 600; overflow-wrap: anywhere; box-sizing: border-box;
  min-width: var(--name); max-width: var(--name); }
th.base { left: var(--name); white-space: nowrap; }
tbody.patch:not(:last-child) tr:last-child > *, thead th, th.name { border-bottom-width: 3px; }
thead th { vertical-align: bottom; position: sticky; top: 0; z-index: 2; }
thead th.name, thead th.base { vertical-align: bottom; z-index: 3; }
span.up { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
thead span.up { font-family: monospace; }
td.strict { background: var(--strict); }
td.merged { background: repeating-linear-gradient(45deg, var(--merged) 0 6px,
  var(--paper) 6px 7px); }
td.landed { background: var(--landed); }
td.left { background: var(--panel); }
td.misfit { background: var(--misfit); font-weight: bold; }
td.home { outline: 2px solid var(--ink); outline-offset: -3px; }
td[tabindex] { cursor: pointer; }
td:focus-within { outline: 3px solid var(--focus); outline-offset: -3px; }
td .panel { display: none; position: fixed; left: 0; right: 0; bottom: 0; max-height: 46vh;
  overflow: auto; padding: .7rem 1.5rem; background: var(--panel); color: var(--ink);
  border-top: 2px solid var(--ink); text-align: left; font-weight: normal; z-index: 4;
  cursor: auto; overflow-wrap: anywhere; }
td:hover .panel { display: block; }
table:focus-within td:hover .panel { display: none; }
table:focus-within td:focus-within .panel { display: block; }
pre { margin: .3rem 0 .8rem; font-size: 12px; }
.key { margin: 1rem 0; border: 0; } .key tr { display: flex; flex-wrap: wrap; gap: 4px 0; }
.key td { min-width: 1.5em; border-width: 1px; } .key th { border: 0; margin-right: .8rem; }
"""


def write_page(path: Path, matrix: Matrix) -> None:
    """Write the page in one step. Raises: ConflictError where no plain file can stand there."""
    disk.read(path)
    disk.replace(path.absolute(), page(matrix).encode())


def page(matrix: Matrix) -> str:
    """Revisions across, oldest first; patches down, those of one name beside each other."""
    rows = matrix.rows[::-1]
    supported = sum(1 for row in rows if row.support)
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>LTX-2 drift matrix</title><style>{_STYLE}</style></head><body>",
            "<h1>LTX-2 drift matrix</h1>",
            f"<p>{supported} of {len(rows)} revisions of upstream are supported. {_HOW_TO}</p>",
            _key(),
            '<table><thead><tr><th class="name"></th><th class="base">base</th>',
            *(_head(row) for row in rows),
            "</tr></thead>",
            *_supported(rows),
            *_patches(matrix, rows),
            "</table></body></html>\n",
        )
    )


def _key() -> str:
    cells = (
        f'<td class="{name}">{mark}</td><th>{how.value}</th>'
        for how, (name, mark) in _CLASSES.items()
    )
    return (
        f'<table class="key"><tr>{"".join(cells)}<td class="home">&nbsp;</td>'
        "<th>the base itself</th></tr></table>"
    )


def _head(row: Row) -> str:
    revision = row.revision
    return (
        f'<th scope="col" title="{escape(revision.subject)}">'
        f'<span class="up">{revision.date} {revision.commit[:8]}</span></th>'
    )


def _supported(rows: tuple[Row, ...]) -> Iterator[str]:
    yield '<tbody class="patch"><tr><th class="name">supported by</th><th class="base"></th>'
    for row in rows:
        laid = row.support
        name, mark = _CLASSES[laid.how if laid else How.MISFIT]
        title = f"{laid.base}, {laid.how.value}" if laid else "no base"
        base = f'<br><span class="up">{escape(laid.base)}</span>' if laid else ""
        panel = (
            f'<div class="panel">{row.revision.commit[:12]}: {escape(title)}{_faults(row)}</div>'
        )
        yield (f'<td class="{name}" tabindex="0" title="{escape(title)}">{mark}{base}{panel}</td>')
    yield "</tr></tbody>"


def _faults(row: Row) -> str:
    return "".join(
        f"<br>{escape(name)}: every patch fits, but {escape(fault)}"
        for name, laid in row.laid.items()
        for fault in laid.faults
    )


def _patches(matrix: Matrix, rows: tuple[Row, ...]) -> Iterator[str]:
    having: dict[str, list[str]] = {}  # patch -> bases, both in the order of the series
    for base in matrix.bases:
        for fit in rows[0].laid[base.name].fits:
            having.setdefault(fit.patch.name, []).append(base.name)
    homes = {base.name: base.commit for base in matrix.bases}
    for patch, bases in having.items():
        yield '<tbody class="patch">'
        for place, name in enumerate(bases):
            title = f'<th class="name" rowspan="{len(bases)}">{_breakable(patch)}</th>'
            yield f'<tr>{title if place == 0 else ""}<th class="base">{escape(name)}</th>'
            first = _first_breaks(matrix, name, patch)
            for row in rows:
                home = " home" if row.revision.commit == homes[name] else ""
                yield _cell(row, row.laid[name], patch, home, first)
            yield "</tr>"
        yield "</tbody>"


def _breakable(patch: str) -> str:
    """The name of a patch, which may go on in the next line after each word."""
    return escape(patch).replace("_", "_<wbr>")


def _first_breaks(matrix: Matrix, base: str, patch: str) -> str:
    places = [
        f"{one.revision.commit[:10]} of {one.revision.date} (going {one.side})"
        for one in matrix.breaks
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
    (sentence,) = in_words((breach,))
    lines = "\n".join(f"{mark} {line}" for mark, line in diff_lines(breach))
    return f"<p>{escape(sentence)}</p><pre>{escape(lines)}</pre>"

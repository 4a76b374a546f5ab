"""What the page says of memory, and of where its recordings come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from verify.clips import stills
from verify.clips.manifest import Manifest, Recording
from verify.clips.vram_report import COLUMNS, VramReport
from verify.upstream.command_line import Gemma


def state_of(passed: bool) -> tuple[str, str, str]:
    """A class, a mark and a word: never color alone."""
    return ("good", "\N{CHECK MARK}", "passed") if passed else ("bad", "\N{BALLOT X}", "failed")


def memory_section(vram: Sequence[VramReport]) -> Iterator[str]:
    """A timeline and a table for each report."""
    if not vram:
        return
    yield '<section id="vram"><h2>Memory</h2>'
    for one in vram:
        state, mark, word = state_of(one.passed)
        held = "no budget" if one.budget_gib is None else f"budget {one.budget_gib:.4g} GiB"
        yield (
            f'<article class="memory"><h3><span class="mark {state}" aria-label="{word}">{mark}'
            f"</span> {escape(one.title)}</h3><p>{escape(one.text)} "
            f'<span class="meta">{escape(one.machine)}, {held}</span></p>'
        )
        if one.timeline is None:
            yield '<p class="meta">No timeline lies beside this report.</p>'
        else:
            source = stills.data_uri("image/png", one.timeline)
            alt = escape(f"memory over time: {one.title}")
            yield f'<img class="timeline" alt="{alt}" src="{source}">'
        yield '<div class="wide"><table><thead><tr><th scope="col">stage</th>'
        yield "".join(f'<th scope="col">{escape(title)}</th>' for title in COLUMNS)
        yield "</tr></thead><tbody>"
        for stage in one.stages:
            cells = "".join(
                f"<td>{'' if figure is None else f'{figure:.2f}'}</td>" for figure in stage.figures
            )
            yield f'<tr><th scope="row">{escape(stage.name)}</th>{cells}</tr>'
        yield "</tbody></table></div></article>"
    yield "</section>"


def origin_section(recordings: Sequence[Recording]) -> Iterator[str]:
    """What each recording was made of, so that it can be made again."""
    manifests = [recording.manifest for recording in recordings]
    yield '<section id="origin"><h2>Where these come from</h2><div class="wide"><table><thead><tr>'
    yield '<th scope="col"></th>'
    for number, one in enumerate(manifests):
        yield f'<th scope="col"><span class="swatch s{number}"></span>{escape(one.label)}</th>'
    yield "</tr></thead><tbody>"
    for name, texts in _facts(manifests):
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _facts(manifests: Sequence[Manifest]) -> Iterator[tuple[str, list[str]]]:
    yield "recorded", [m.date for m in manifests]
    yield "machine", [m.machine for m in manifests]
    yield "base", [f"{m.upstream.base}, {_standing(m)}" for m in manifests]
    yield "patched files", [m.upstream.files[:16] for m in manifests]
    yield "Gemma", [m.gemma.value if m.gemma is not Gemma.PLAIN else "bf16" for m in manifests]
    yield "further arguments", [" ".join(m.extra) or "none" for m in manifests]
    for package in sorted({name for m in manifests for name in m.versions}):
        yield package, [m.versions.get(package, "") for m in manifests]
    for flag in manifests[0].weight_files:
        files = [m.weight_files[flag] for m in manifests]
        yield flag, [f"{file.name}, {file.fingerprint[:16]}" for file in files]
    yield "left out", [", ".join(m.left_out) or "nothing" for m in manifests]


def _standing(made: Manifest) -> str:
    group = f" up to {made.upstream.group}" if made.upstream.group else ""
    return f"{made.upstream.standing}{group}"

"""All that recordings and VRAM reports have to say, as one page that needs nothing beside it.

Whoever decides whether 4-bit is good enough looks at this page: the verdicts first, then the clips
side by side and in step, where they differ, by how much, and what each took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from ltx2_patcher.boundaries import disk
from verify.cases import Gemma
from verify.clips import manifest, stills
from verify.clips.charts import Line, chart
from verify.clips.compare import Comparison, Measured, compare
from verify.clips.decoding import read_frames
from verify.clips.judge import Bounds, Check, Verdict, judge, read_bounds, spelled
from verify.clips.manifest import Manifest, Recorded, Recording
from verify.clips.models import Kind
from verify.clips.vram import COLUMNS, Vram

_HERE = Path(__file__).parent
_THUMBNAIL = (180, 120)  # width, height; the images' ratio
_BAD = ' class="bad"'

_SHOWS: Mapping[Kind, str] = {
    "tiny": "Tiny random weights: this shows that every step works and how far quantizing carries "
    "through it, not what a clip looks like.",
    "random": "Random weights of the true size: this shows that every step works and fits, not "
    "what a clip looks like.",
    "real": "Real weights: the clips show what a seed gives, with and without quantizing.",
}


@dataclass(frozen=True, slots=True)
class _Column:
    """A recording that is held against the reference."""

    recording: Recording
    comparison: Comparison
    verdict: Verdict
    bounds: Bounds | None  # None where equality was asked for

    @property
    def label(self) -> str:
        return self.recording.manifest.label

    def measured(self, case: str) -> Measured:
        return next(m for m in self.comparison.cases if m.case == case)


def write_report(
    path: Path, reference: Recording, others: Sequence[Recording], vram: Sequence[Vram]
) -> tuple[Verdict, ...]:
    """The page lies at `path`; the verdict on each of `others`.

    Raises: UsageError, InvalidError (as `compare`), ConflictError (no plain file can stand there),
    OutsideError.
    """
    disk.read(path)
    bounds = read_bounds()
    columns = []
    for other in others:
        comparison = compare(reference, other)
        held = None
        if other.manifest.gemma is not reference.manifest.gemma:
            held = bounds[other.manifest.weights][other.manifest.gemma]
        columns.append(_Column(other, comparison, judge(comparison, bounds), held))
    disk.replace(path.absolute(), page(reference, columns, vram).encode())
    return tuple(column.verdict for column in columns)


def page(reference: Recording, columns: Sequence[_Column], vram: Sequence[Vram]) -> str:
    """The whole document."""
    style = (_HERE / "report.css").read_text("utf-8").replace("LEGEND", stills.legend_css())
    script = (_HERE / "report.js").read_text("utf-8")
    return "\n".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # It says of itself that it loads nothing.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
            "img-src data:; media-src data:; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'\">",
            f"<title>LTX-2 reference clips</title><style>{style}</style></head><body>",
            *_head(reference, columns),
            *_toolbar(reference, vram),
            "<main>",
            *(
                part
                for case in reference.manifest.cases
                for part in _case(reference, columns, case)
            ),
            *_vram(vram),
            *_origin([reference, *(column.recording for column in columns)]),
            f"</main><script>{script}</script></body></html>\n",
        )
    )


def _head(reference: Recording, columns: Sequence[_Column]) -> Iterator[str]:
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


def _verdict(column: _Column, number: int) -> Iterator[str]:
    verdict = column.verdict
    state, mark, word = _state(verdict.passed)
    asked = "within bounds" if column.bounds else "equal"
    said = asked if verdict.passed else f"not {asked}"
    yield (
        f'<section class="verdict {state}"><h2><span class="mark" aria-hidden="true">{mark}</span>'
        f'<span class="swatch s{number}"></span>{escape(column.label)}: {escape(said)}</h2>'
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


def _by_clip(checks: Sequence[Check]) -> Iterator[str]:
    measures = list(dict.fromkeys(check.measure for check in checks))
    yield '<details><summary>By clip</summary><div class="wide"><table><thead><tr><th></th>'
    yield "".join(f'<th scope="col">{escape(measure)}</th>' for measure in measures)
    yield "</tr></thead><tbody>"
    for case in dict.fromkeys(check.case for check in checks):
        cells = "".join(
            f'<td{"" if check.passed else _BAD} title="{escape(check.where)}">'
            f"{spelled(check.value)}</td>"
            for check in checks
            if check.case == case
        )
        yield f'<tr><th scope="row"><a href="#{escape(case)}">{escape(case)}</a></th>{cells}</tr>'
    yield "</tbody></table></div></details>"


def _meter(check: Check) -> str:
    """The worst of one measure: the number, and where it stands between bound and best."""
    state, mark, _ = _state(check.passed)
    title = escape(f"{check.case}, {check.where}")
    return (
        f'<div class="meter {state}" title="{title}"><dt>{escape(check.measure)}</dt>'
        f'<dd><b>{spelled(check.value)}</b> <span class="bound">{mark} at least {check.bound:g}'
        f'</span><span class="bar"><i style="width:{100 * max(0.0, check.share):.1f}%"></i></span></dd></div>'
    )


def _toolbar(reference: Recording, vram: Sequence[Vram]) -> Iterator[str]:
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


def _case(
    reference: Recording, columns: Sequence[_Column], case: Recorded
) -> Iterator[str]:
    fps, count = reference.manifest.shape.fps, reference.manifest.shape.frames
    yield (
        f'<section class="case" id="{escape(case.name)}" data-fps="{fps}" data-frames="{count}">'
        f"<h2>{escape(case.name)}</h2>"
        f'<p class="prompt">{escape(case.prompt)} <span class="meta">{escape(case.script)}, seed '
        f"{case.seed}</span></p>"
    )
    yield from _given(reference, case)
    yield '<div class="players">'
    yield _player(reference, case.name, 0, "reference")
    for number, column in enumerate(columns, 1):
        first = column.verdict.differences.get(case.name)
        yield _player(
            column.recording,
            case.name,
            number,
            f"differs from {first} on" if first else "every byte is equal",
        )
    yield (
        '</div><div class="transport"><button class="play">Play</button>'
        '<button class="step" data-by="-1" aria-label="one frame back">&#8249;</button>'
        '<button class="step" data-by="1" aria-label="one frame on">&#8250;</button>'
        f'<input type="range" min="0" max="{count - 1}" value="0" step="1" aria-label="frame">'
        f'<output>frame 0 of {count - 1}</output></div>'
    )
    yield from _charts(columns, case.name)
    yield from _contact_sheet(reference, columns, case.name)
    yield from _stages(columns, case.name)
    yield "</section>"


def _given(reference: Recording, case: Recorded) -> Iterator[str]:
    """The images that the clip has to pass through."""
    if not case.images:
        return
    yield '<div class="given">'
    for name, frame in case.images.items():
        with Image.open(reference.folder / "images" / f"{name}.png") as image:
            small = np.asarray(image.convert("RGB").resize(_THUMBNAIL))
        said = escape(f"{name}, given for frame {frame}")
        yield f'<figure><img alt="{said}" src="{stills.photo(small)}"><figcaption>{said}'
        yield "</figcaption></figure>"
    yield "</div>"


def _player(recording: Recording, case: str, number: int, note: str) -> str:
    clip = recording.file(case, manifest.CLIP).read_bytes()
    made = next(c for c in recording.manifest.cases if c.name == case)
    shape = recording.manifest.shape
    return (
        f'<figure><video muted playsinline preload="auto" width="{shape.width}" '
        f'height="{shape.height}" src="{stills.data_uri("video/mp4", clip)}"></video>'
        f'<figcaption><span class="swatch s{number}"></span>'
        f"<b>{escape(recording.manifest.label)}</b> <span>{escape(note)}; {made.seconds:.1f} s"
        f"</span></figcaption></figure>"
    )


def _charts(columns: Sequence[_Column], case: str) -> Iterator[str]:
    shown = [(column.label, column.measured(case), column.bounds) for column in columns]
    finite = [db for _, m, _ in shown for db in m.psnr_db if db != float("inf")]
    yield '<div class="charts">'
    for title, lines, bounds, ceiling in (
        (
            "PSNR in dB",
            [Line(label, m.psnr_db) for label, m, _ in shown],
            [b.psnr_db for _, _, b in shown if b],
            max(finite, default=50.0) + 3,
        ),
        (
            "SSIM",
            [Line(label, m.ssim) for label, m, _ in shown],
            [b.ssim for _, _, b in shown if b],
            1.0,
        ),
    ):
        yield (
            f"<figure><figcaption>{title} of each frame; dashed: the bound. Click to go there."
            f"</figcaption>{chart(title, lines, bounds, ceiling=ceiling)}</figure>"
        )
    yield "</div>"


def _contact_sheet(
    reference: Recording, columns: Sequence[_Column], case: str
) -> Iterator[str]:
    frames = read_frames(reference.file(case, manifest.CLIP))
    named = {0: "first", len(frames) // 2: "middle", len(frames) - 1: "last"}
    worst = {}
    for column in columns:
        psnr = column.measured(case).psnr_db
        if min(psnr) != float("inf"):
            worst[min(range(len(psnr)), key=psnr.__getitem__)] = "worst"
    chosen = sorted({**worst, **named})
    yield (
        '<details class="sheet" open><summary>Contact sheet</summary><div class="grid" '
        f'style="--columns:{len(chosen)}"><span></span>'
    )
    for at in chosen:
        words = [name for table in (named, worst) if (name := table.get(at))]
        yield f'<span class="at">frame {at}, {" and ".join(words)}</span>'
    yield f'<span class="row"><span class="swatch s0"></span>{escape(reference.manifest.label)}</span>'
    for at in chosen:
        yield _still(stills.photo(frames[at]), f"{reference.manifest.label}, frame {at}")
    for number, column in enumerate(columns, 1):
        others = read_frames(column.recording.file(case, manifest.CLIP))
        measured = column.measured(case)
        yield f'<span class="row"><span class="swatch s{number}"></span>{escape(column.label)}</span>'
        for at in chosen:
            yield _still(stills.photo(others[at]), f"{column.label}, frame {at}")
        yield '<span class="row">its difference</span>'
        for at in chosen:
            picture = stills.difference_map(frames[at], others[at])
            said = f"{spelled(measured.psnr_db[at])} dB, SSIM {measured.ssim[at]:.3f}"
            yield _still(picture, f"difference of {column.label}, frame {at}", said)
    yield (
        '</div><p class="legend"><i></i> 0 to '
        f"{255 // stills.GAIN} of 255 levels and more, the greatest of the three channels</p>"
        "</details>"
    )


def _still(source: str, alt: str, said: str = "") -> str:
    caption = f"<small>{escape(said)}</small>" if said else ""
    return f'<span class="still"><img alt="{escape(alt)}" src="{source}">{caption}</span>'


def _stages(columns: Sequence[_Column], case: str) -> Iterator[str]:
    """Every figure of a case, in the order of computing."""
    yield (
        '<details><summary>Every figure, stage by stage</summary><div class="wide"><table><thead>'
        '<tr><th scope="col">stage</th>'
    )
    for number, column in enumerate(columns, 1):
        yield (
            f'<th scope="col"><span class="swatch s{number}"></span>{escape(column.label)}</th>'
            '<th scope="col">bound</th>'
        )
    yield "</tr></thead><tbody>"
    measured = [column.measured(case) for column in columns]
    for at, layer in enumerate(measured[0].layers):
        text = "prompt" if layer.text == 0 else "negative prompt"
        yield _row(
            f"hidden states of the {text}, layer {layer.layer}: cosine",
            [m.layers[at].cosine for m in measured],
            [c.bounds.hidden_cosine if c.bounds else None for c in columns],
        )
    for at, latent in enumerate(measured[0].latents):
        field = f"{latent.name}_latent_cosine"
        yield _row(
            f"{latent.name} latents: cosine",
            [m.latents[at].cosine for m in measured],
            [getattr(c.bounds, field) if c.bounds else None for c in columns],
        )
    for name, values, field in (
        ("frames: lowest PSNR in dB", [min(m.psnr_db) for m in measured], "psnr_db"),
        ("frames: lowest SSIM", [min(m.ssim) for m in measured], "ssim"),
    ):
        limits = [getattr(c.bounds, field) if c.bounds else None for c in columns]
        yield _row(name, values, limits)
    yield "</tbody></table></div></details>"


def _row(
    name: str, values: Sequence[float], bounds: Sequence[float | None]
) -> str:
    cells = ""
    for value, bound in zip(values, bounds, strict=True):
        out = bound is not None and not value >= bound
        cells += f"<td{_BAD if out else ''}>{spelled(value)}</td><td>{'' if bound is None else f'{bound:g}'}</td>"
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _vram(vram: Sequence[Vram]) -> Iterator[str]:
    if not vram:
        return
    yield '<section id="vram"><h2>Memory</h2>'
    for one in vram:
        state, mark, word = _state(one.passed)
        yield (
            f'<article class="memory"><h3><span class="mark {state}" aria-label="{word}">{mark}'
            f"</span> {escape(one.title)}</h3><p>{escape(one.text)} "
            f'<span class="meta">{escape(one.machine)}, budget {one.budget_gib:.4g} GiB</span></p>'
        )
        if one.timeline is None:
            yield '<p class="meta">No timeline lies beside this report.</p>'
        else:
            source = stills.data_uri("image/png", one.timeline)
            yield f'<img class="timeline" alt="memory over time: {escape(one.title)}" src="{source}">'
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


def _origin(recordings: Sequence[Recording]) -> Iterator[str]:
    """What each recording was made of, so that it can be made again."""
    made = [recording.manifest for recording in recordings]
    yield '<section id="origin"><h2>Where these come from</h2><div class="wide"><table><thead><tr>'
    yield '<th scope="col"></th>'
    for number, one in enumerate(made):
        yield f'<th scope="col"><span class="swatch s{number}"></span>{escape(one.label)}</th>'
    yield "</tr></thead><tbody>"
    for name, texts in _facts(made):
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _facts(made: Sequence[Manifest]) -> Iterator[tuple[str, list[str]]]:
    yield "recorded", [m.date for m in made]
    yield "machine", [m.machine for m in made]
    yield "base", [f"{m.upstream.base}, {_standing(m)}" for m in made]
    yield "patched files", [m.upstream.files[:16] for m in made]
    yield "Gemma", [m.gemma.value if m.gemma is not Gemma.PLAIN else "bf16" for m in made]
    yield "further arguments", [" ".join(m.extra) or "none" for m in made]
    for package in sorted({name for m in made for name in m.versions}):
        yield package, [m.versions.get(package, "") for m in made]
    for flag in made[0].weight_files:
        files = [m.weight_files[flag] for m in made]
        yield flag, [f"{file.name}, {file.fingerprint[:16]}" for file in files]
    yield "left out", [", ".join(m.left_out) or "nothing" for m in made]


def _standing(made: Manifest) -> str:
    group = f" up to {made.upstream.group}" if made.upstream.group else ""
    return f"{made.upstream.standing}{group}"


def _state(passed: bool) -> tuple[str, str, str]:
    """A class, a mark and a word: never color alone."""
    return ("good", "\N{CHECK MARK}", "passed") if passed else ("bad", "\N{BALLOT X}", "failed")

"""One clip of every recording on the page: players, charts, contact sheet and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from verify.clips import manifest, stills
from verify.clips.charts import Line, chart
from verify.clips.compare import CaseComparison, Comparison
from verify.clips.decoding import read_frames
from verify.clips.judge import Bounds, ClipVerdict, spelled
from verify.clips.manifest import Recorded, Recording

BAD = ' class="bad"'
_THUMBNAIL = (180, 120)  # width, height; the images' ratio


@dataclass(frozen=True, slots=True)
class Column:
    """A recording that is held against the reference."""

    recording: Recording
    comparison: Comparison
    verdict: ClipVerdict
    bounds: Bounds | None  # None where equality was asked for

    @property
    def label(self) -> str:
        """What tells it from its neighbours."""
        return self.recording.manifest.label

    def measured(self, case: str) -> CaseComparison:
        """How the case was measured."""
        return next(m for m in self.comparison.cases if m.case == case)


def case_section(reference: Recording, columns: Sequence[Column], case: Recorded) -> Iterator[str]:
    """All of one case, with every recording beside the reference."""
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
        f"<output>frame 0 of {count - 1}</output></div>"
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
        caption = escape(f"{name}, given for frame {frame}")
        yield f'<figure><img alt="{caption}" src="{stills.photo(small)}"><figcaption>{caption}'
        yield "</figcaption></figure>"
    yield "</div>"


def _player(recording: Recording, case: str, number: int, note: str) -> str:
    clip = recording.file(case, manifest.CLIP).read_bytes()
    recorded = next(c for c in recording.manifest.cases if c.name == case)
    shape = recording.manifest.shape
    return (
        f'<figure><video muted playsinline preload="auto" width="{shape.width}" '
        f'height="{shape.height}" src="{stills.data_uri("video/mp4", clip)}"></video>'
        f'<figcaption><span class="swatch s{number}"></span>'
        f"<b>{escape(recording.manifest.label)}</b> <span>{escape(note)}; {recorded.seconds:.1f} s"
        f"</span></figcaption></figure>"
    )


def _charts(columns: Sequence[Column], case: str) -> Iterator[str]:
    shown = [(column.label, column.measured(case), column.bounds) for column in columns]
    finite = [db for _, m, _ in shown for db in m.psnr_db if db != float("inf")]
    yield '<div class="charts">'
    for title, lines, ceiling in (
        (
            "PSNR in dB",
            [Line(label, m.psnr_db, b.psnr_db if b else None) for label, m, b in shown],
            max(finite, default=50.0) + 3,
        ),
        (
            "SSIM",
            [Line(label, m.ssim, b.ssim if b else None) for label, m, b in shown],
            1.0,
        ),
    ):
        yield (
            f"<figure><figcaption>{title} of each frame; dashed: the bound. Click to go there."
            f"</figcaption>{chart(title, lines, ceiling=ceiling)}</figure>"
        )
    yield "</div>"


def _contact_sheet(reference: Recording, columns: Sequence[Column], case: str) -> Iterator[str]:
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
    yield _named(0, reference.manifest.label)
    for at in chosen:
        yield _still(stills.photo(frames[at]), f"{reference.manifest.label}, frame {at}")
    for number, column in enumerate(columns, 1):
        others = read_frames(column.recording.file(case, manifest.CLIP))
        measured = column.measured(case)
        yield _named(number, column.label)
        if measured.first_frame is None:
            yield '<span class="same">every frame is equal</span>'
            continue
        for at in chosen:
            yield _still(stills.photo(others[at]), f"{column.label}, frame {at}")
        yield '<span class="row">its difference</span>'
        for at in chosen:
            picture = stills.difference_map(frames[at], others[at])
            db = measured.psnr_db[at]
            said = "equal" if db == float("inf") else f"{db:.2f} dB, SSIM {measured.ssim[at]:.3f}"
            yield _still(picture, f"difference of {column.label}, frame {at}", said)
    yield (
        '</div><p class="legend"><i></i> 0 to '
        f"{255 // stills.GAIN} of 255 levels and more, the greatest of the three channels</p>"
        "</details>"
    )


def _named(number: int, label: str) -> str:
    return f'<span class="row"><span class="swatch s{number}"></span>{escape(label)}</span>'


def _still(source: str, alt: str, said: str = "") -> str:
    caption = f"<small>{escape(said)}</small>" if said else ""
    return f'<span class="still"><img alt="{escape(alt)}" src="{source}">{caption}</span>'


def _stages(columns: Sequence[Column], case: str) -> Iterator[str]:
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


def _row(name: str, values: Sequence[float], bounds: Sequence[float | None]) -> str:
    cells = ""
    for value, bound in zip(values, bounds, strict=True):
        out = bound is not None and not value >= bound
        limit = "" if bound is None else f"{bound:g}"
        cells += f"<td{BAD if out else ''}>{spelled(value)}</td><td>{limit}</td>"
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'

"""Per-frame figures as small inline SVG charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT = 560, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 22
_MARKS = ("circle", "square", "diamond")  # told apart also without color


@dataclass(frozen=True, slots=True)
class Line:
    """One recording's figure in each frame."""

    label: str
    values: tuple[float, ...]  # infinite where the frame is equal
    bound: float | None  # None where equality was asked for


def chart(title: str, lines: Sequence[Line], *, ceiling: float) -> str:
    """An SVG: frames across, the figure up; the bounds are dashed lines.

    `ceiling` is where what is infinite, or the best, is drawn.
    """
    shown = [min(value, ceiling) for line in lines for value in line.values]
    shown += [line.bound for line in lines if line.bound is not None]
    low = min(shown)
    low -= 0.08 * (ceiling - low) or 1
    count = max(len(line.values) for line in lines)

    def x(frame: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * frame / max(1, count - 1)

    def y(value: float) -> float:
        share = (min(value, ceiling) - low) / (ceiling - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    start = (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" data-left="{_LEFT}" '
        f'data-right="{_WIDTH - _RIGHT}" data-width="{_WIDTH}" '
        f'aria-label="{escape(title)}, by frame">'
    )
    parts = [start]
    for share in (0.0, 0.5, 1.0):
        value = low + (ceiling - low) * share
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text class="tick" x="{_LEFT - 6}" y="{y(value) + 3.5:.1f}" '
            f'text-anchor="end">{value:.3g}</text>'
        )
    parts += [
        f'<text class="tick" x="{x(frame):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{frame}</text>"
        for frame in sorted({0, (count - 1) // 2, count - 1})
    ]
    for number, line in enumerate(lines):
        if (bound := line.bound) is None:
            continue
        parts.append(
            f'<line class="bound s{number + 1}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{y(bound):.1f}" y2="{y(bound):.1f}"><title>bound {bound:.4g}</title></line>'
        )
    parts.append(
        f'<line class="cursor" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
    )
    for number, line in enumerate(lines):
        kind = f"s{number + 1}"
        for (at, one), (_, other) in pairwise(enumerate(line.values)):
            parts.append(
                f'<line class="{kind}" x1="{x(at):.1f}" y1="{y(one):.1f}" '
                f'x2="{x(at + 1):.1f}" y2="{y(other):.1f}"/>'
            )
        for at, value in enumerate(line.values):
            figure = "equal" if value == float("inf") else f"{value:.4g}"
            name = escape(f"{line.label}, frame {at}: {figure}")
            parts.append(_mark(number, x(at), y(value), name))
    return "".join([*parts, "</svg>"])


def _mark(series: int, x: float, y: float, title: str) -> str:
    kind = _MARKS[series % len(_MARKS)]
    titled = f"<title>{title}</title>"
    if kind == "circle":
        return f'<circle class="s{series + 1}" cx="{x:.1f}" cy="{y:.1f}" r="3">{titled}</circle>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if kind == "diamond" else ""
    return (
        f'<rect class="s{series + 1}" x="{x - 2.8:.1f}" y="{y - 2.8:.1f}" width="5.6" '
        f'height="5.6"{turn}>{titled}</rect>'
    )

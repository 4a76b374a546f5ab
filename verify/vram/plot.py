"""The timeline of a report as a picture: memory over time, the stages shaded, the budget a line."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, parse_card
from ltx2_patcher.values.errors import OutsideError

_CURVES = {
    "reserved": ("torch, reserved", "#0072b2", 1.8),
    "allocated": ("torch, allocated", "#56b4e9", 1.2),
    "device": ("the whole card, by its driver", "#d55e00", 1.2),
    "host": ("host memory of its own", "#009e73", 1.2),
}
"""In colours that are told apart by people who are colour-blind (Okabe and Ito)."""
_BANDS = {
    "kept": ("blocks that stay", "#e69f00"),
    "streamed": ("what passes", "#f0e442"),
    "activations": ("the rest that is allocated", "#cc79a7"),
}
"""Of parked weights: one upon the other."""
_SHADES = ("#eef2f7", "#dbe4ee")
_NAMED_SHARE = 0.04  # of the time: a narrower stage has no room for its name


def require_plots() -> None:
    """Return where timelines can be drawn: to be asked before a run. Raises: OutsideError."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OutsideError(
            "matplotlib is not installed, and without it no timeline can be drawn",
            remedy="run `make verify` once, which installs it, or leave --plot out",
        )


def write_plot(report: Mapping[str, Any], out: Path) -> None:
    """A PNG of the report's timeline at `out`. Raises: OutsideError (it can't be written)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _shade(axes, report["stretches"], report["wall_s"])
    _stack(axes, report["timeline"])
    for name, (label, colour, width) in _CURVES.items():
        if points := report["timeline"][name]:
            axes.plot(*zip(*points, strict=True), label=label, color=colour, linewidth=width)
    if report["budget_gib"] is not None:
        card = parse_card(f"{report['budget_gib']}GB")
        usable = (card.usable_bytes - CONTEXT_BYTES) / GIB
        label = f"budget of {card.name}, the CUDA context taken off"
        axes.axhline(usable, color="#333333", linestyle="--", linewidth=1, label=label)
    if report["vram_budget_gib"] is not None:
        label = f"--vram-budget {report['vram_budget_gib']:g}"
        axes.axhline(
            report["vram_budget_gib"], color="#333333", linestyle=":", linewidth=1, label=label
        )
    axes.set(xlabel="seconds", ylabel="GiB", xlim=(0, report["wall_s"]))
    axes.set_ylim(bottom=0)
    axes.set_title(_title(report), loc="left", fontsize=10, pad=52)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=3, frameon=False, fontsize=8)
    try:
        figure.savefig(out, format="png")
    except OSError as error:
        raise OutsideError(
            f"{out} can't be written: {error.strerror}", remedy="name a place that you can write to"
        ) from error


def _stack(axes: Any, timeline: Mapping[str, list[list[float]]]) -> None:
    """What parked weights take, and what is allocated beside them: all were seen at one time."""
    seconds = [second for second, _ in timeline["kept"]]
    if not seconds:
        return
    kept, streamed = ([gib for _, gib in timeline[name]] for name in ("kept", "streamed"))
    parked = [sum(both) for both in zip(kept, streamed, strict=True)]
    tops = {"kept": kept, "streamed": parked}
    if allocated := [gib for _, gib in timeline["allocated"]]:
        tops["activations"] = [max(both) for both in zip(parked, allocated, strict=True)]
    below = [0.0] * len(seconds)
    for name, top in tops.items():
        label, colour = _BANDS[name]
        axes.fill_between(
            seconds, below, top, label=label, color=colour, alpha=0.6, linewidth=0, step="post"
        )
        below = top


def _shade(axes: Any, stretches: list[dict[str, Any]], wall_s: float) -> None:
    """Each run of stretches of one stage is one band; loading is the darker part of it."""
    bands: list[tuple[str, float, float]] = []
    for part in stretches:
        axes.axvspan(
            part["begin_s"], part["end_s"], color=_SHADES[part["doing"] == "load"], linewidth=0
        )
        if bands and bands[-1][0] == part["stage"]:
            bands[-1] = (part["stage"], bands[-1][1], part["end_s"])
        else:
            bands.append((part["stage"], part["begin_s"], part["end_s"]))
    top = axes.get_xaxis_transform()
    for stage, begin_s, end_s in bands:
        axes.axvline(begin_s, color="#ffffff", linewidth=1)
        if end_s - begin_s > _NAMED_SHARE * wall_s:
            middle = (begin_s + end_s) / 2
            place = {"rotation": 30, "rotation_mode": "anchor", "va": "bottom", "ha": "left"}
            axes.text(middle, 1.01, stage, transform=top, fontsize=8, **place)


def _title(report: Mapping[str, Any]) -> str:
    request = f"{report['pipeline']}, {report['size']}, {report['frames']} frames {report['flags']}"
    return f"{request}\n{report.get('machine', 'no GPU')}"

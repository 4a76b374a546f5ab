"""What the weights at hand take of this machine: the part of `make verify` that measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.baselines import BASELINES
from ltx2_patcher.rules.models.card import whole_card
from verify.campaigns.vram_cases import USUAL
from verify.clips.cases import CASES, TINY, ReferenceCase
from verify.clips.models import Models, WeightsKind
from verify.upstream.command_line import FP8_CAST, ClipShape, Gemma, command_line
from verify.upstream.provenance import code_of
from verify.upstream.tree import ROOT
from verify.vram.baseline_file import slug, write_baseline
from verify.vram.measurement import Measurement, measured
from verify.vram.plot import require_plots, write_plot
from verify.vram.report import baseline_run, report_text
from verify.vram.requests import Prepared, prepared


@dataclass(frozen=True, slots=True)
class Reported:
    """One script, measured; its report lies at `path`, its timeline beside it."""

    path: Path
    measurement: Measurement


def requests_of(
    tree: Path, models: Models, kind: WeightsKind, folder: Path, extra: tuple[str, ...]
) -> list[Prepared]:
    """Each of the three scripts that the weights are there for, as a card of 24 GB wants them; of
    tiny ones the first. A GPU is held to its own size, but for tiny weights, which say nothing.

    Raises: as `prepared`.
    """
    require_plots()
    gpu = None if kind == "tiny" else machine.gpu(None)
    budget = None if gpu is None else whole_card(gpu.total_bytes).name
    cases = list(_first_of_each_script(models))
    requests = []
    for case in cases[:1] if kind == "tiny" else cases:
        argv = _command_line(case, tree, models, kind, folder, extra)
        requests.append(prepared(tree, case.script, argv, budget, None))
    return requests


def measure_all(wanted: Sequence[Prepared], folder: Path) -> list[Reported]:
    """Each request, measured; the reports lie in `folder`. Raises: as `measured`."""
    return [_reported(measured(ready), folder) for ready in wanted]


def keep_baseline(reported: Sequence[Reported]) -> Path | None:
    """The measurements lie in verify/baselines/ as one of this card; None where they say nothing
    to others: without a GPU, or of an upstream that is no base.
    """
    reports = [
        (one.measurement.ready, one.measurement.verdict, one.measurement.report())
        for one in reported
    ]
    ready, _, about = reports[0]
    gpu = machine.gpu(None)
    if gpu is None or about["base"] is None:
        return None
    fields = ("base", "machine", "capability", "versions", "date", "budget_gib")
    model = ready.model or "no model"
    baseline = {
        **{key: about[key] for key in fields},
        "code": code_of(about["base"], "vram"),
        "model": model,
        "checks": [],
        "runs": [
            baseline_run(report, of.task.script, model, expected=verdict.passed)
            for of, verdict, report in reports
        ],
    }
    name = f"vram-{about['base']}-real-{slug(model)}-{slug(gpu.name)}.json"
    path = ROOT / BASELINES / name
    write_baseline(path, baseline)
    return path


def _first_of_each_script(models: Models) -> Iterator[ReferenceCase]:
    seen = set()
    for case in CASES:
        if case.script not in seen and models.lacking(case) is None:
            seen.add(case.script)
            yield case


def _command_line(
    case: ReferenceCase,
    tree: Path,
    models: Models,
    kind: WeightsKind,
    folder: Path,
    extra: tuple[str, ...],
) -> list[str]:
    # What was asked for goes before what a small card wants.
    flags: list[str] = []
    if not {"--gemma-4bit", "--gemma-8bit"} & set(extra):
        flags += Gemma.FLAG_4BIT.flags
    if not {"--quantization", "--enable-fp8"} & set(extra):
        flags += FP8_CAST
    argv = command_line(
        tree,
        case.script,
        models.paths,
        TINY if kind == "tiny" else ClipShape(*USUAL, steps=2),
        prompt=case.prompt,
        seed=case.seed,
        out=folder / f"{case.script}.mp4",
        flags=flags,
    )
    return [*argv, *extra]


def _reported(measurement: Measurement, folder: Path) -> Reported:
    report = measurement.report()
    path = folder / f"vram-{measurement.ready.task.script}.json"
    path.write_text(report_text(report), encoding="utf-8")
    write_plot(report, path.with_suffix(".png"))
    return Reported(path, measurement)

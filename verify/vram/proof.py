"""What the weights at hand take of this machine: the part of `make verify` that measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.jobs.inspect import inspect_checkpoint
from verify.cases import FRAMES, HEIGHT, WIDTH
from verify.clips.cases import CASES, ReferenceCase
from verify.clips.models import Kind, Models
from verify.provenance import base_of
from verify.vram import baseline_file
from verify.vram.baselines import FOLDER
from verify.vram.campaign import FITS, USUAL
from verify.vram.card import GIB
from verify.vram.judge import Verdict, judged
from verify.vram.limits import read_limits
from verify.vram.plot import write_plot
from verify.vram.report import baseline_run, report_of, report_text
from verify.vram.requests import Prepared, failure_of, gpu_of, prepared
from verify.vram.runner import measure


@dataclass(frozen=True, slots=True)
class Measurement:
    """One script, measured; its report lies at `path`, its timeline beside it."""

    script: str
    path: Path
    verdict: Verdict
    report: dict[str, Any]


def measure_models(
    tree: Path, models: Models, kind: Kind, folder: Path, extra: tuple[str, ...]
) -> list[Measurement]:
    """Each of the three scripts that the weights are there for, with --gemma-4bit; of tiny ones the
    first. A GPU is held to its own size.

    Raises: as `prepared` and `measure`.
    """
    gpu = gpu_of()
    found = []
    for case in _first_of_each_script(models):
        ready = prepared(
            tree, case.script, _words(case, tree, models, kind, folder, extra), _budget(gpu), None
        )
        found.append(_measured(ready, folder))
        if kind == "tiny":
            break
    return found


def keep_baseline(found: list[Measurement], models: Models, tree: Path) -> Path | None:
    """The measurements lie in verify/baselines/ as one of this card; None where they say nothing
    to others: without a GPU, or of an upstream that is no base.
    """
    about = found[0].report
    base, gpu = base_of(tree), gpu_of()
    if gpu is None or base is None:
        return None
    checkpoint = next(path for flag, path in models.paths.items() if "checkpoint" in flag)
    model = inspect_checkpoint(checkpoint).variant
    kept = ("base", "files", "machine", "capability", "versions", "date", "budget_gib")
    runs = [
        baseline_run(one.report, one.script, model, expected=one.verdict.passed) for one in found
    ]
    name = f"vram-{base}-real-{'-'.join(gpu.name.lower().split())}.json"
    baseline = {**{key: about[key] for key in kept}, "model": model, "checks": [], "runs": runs}
    baseline_file.keep(FOLDER / name, baseline)
    return FOLDER / name


def _first_of_each_script(models: Models) -> Iterator[ReferenceCase]:
    seen = set()
    for case in CASES:
        if case.script not in seen and models.lacking(case) is None:
            seen.add(case.script)
            yield case


def _words(
    case: ReferenceCase,
    tree: Path,
    models: Models,
    kind: Kind,
    folder: Path,
    extra: tuple[str, ...],
) -> list[str]:
    width, height, frames = (WIDTH, HEIGHT, FRAMES) if kind == "tiny" else USUAL
    words = models.arguments(case, tree)
    words += ["--prompt", case.prompt, "--seed", str(case.seed), "--frame-rate", "25"]
    words += ["--width", str(width), "--height", str(height), "--num-frames", str(frames)]
    words += ["--output-path", str(folder / f"{case.script}.mp4")]
    if not case.distilled:
        words += ["--num-inference-steps", "2"]
    given = [word for word in extra if word not in FITS]
    return [*words, *FITS, *given]


def _budget(gpu: Gpu | None) -> str | None:
    return None if gpu is None else f"{round(gpu.total_bytes / GIB)}GB"


def _measured(ready: Prepared, folder: Path) -> Measurement:
    run = measure(ready.task)
    findings = judged(ready.asked, run.stages, ready.task.card, read_limits())
    verdict = Verdict(findings, failure_of(run))
    report = report_of(ready.asked, run, verdict, ready.task.card, ready.about)
    path = folder / f"vram-{ready.task.script}.json"
    path.write_text(report_text(report), encoding="utf-8")
    write_plot(report, path.with_suffix(".png"))
    return Measurement(ready.task.script, path, verdict, report)

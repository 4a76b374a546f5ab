"""Measure what the patched pipelines take of a 24 GB card, on a larger GPU held to one.

    python -m verify.gpu_vram --tree PATCHED --work FOLDER --out FOLDER

Makes full-size random weights on the GPU, one file set at a time (60 GiB of disk do), runs every
case of verify/vram/campaign.py and writes a baseline for each model,
vram-<base>-<model>-<gpu>.json, and a timeline of each run that was no text encoding alone. Where
that folder has a baseline of the same code on the same GPU already, it runs what that one lacks and
what --only names: a campaign that was cut off goes on. Ends with 1 where something that has to hold
does not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_patcher.values.errors import InvalidError, OutsideError, PatcherError, UsageError
from verify.cases import DISTILLED_CHECKPOINT, knows_flag
from verify.perf import record
from verify.pipelines import PACKAGES, Pipelines
from verify.synthetic.architecture import FULL, Blocks, Gemma, Variant
from verify.synthetic.files import FileSet, Part
from verify.vram import baseline_file
from verify.vram.asked import parse_asked
from verify.vram.campaign import NAMES, SHAPES, USUAL, Case, Outcome, cases, shape_case
from verify.vram.card import GIB, Card, parse_card
from verify.vram.judge import Verdict, judged
from verify.vram.limits import read_limits
from verify.vram.plot import write_plot
from verify.vram.report import baseline_run, gib, report_of, table
from verify.vram.requests import Prepared, failure_of, gpu_of, measured_files
from verify.vram.runner import Run, Task, measure
from verify.vram.search import Try, longest

MOST_FRAMES = 1217
TIMED_RUNS = 3
_MAIN = {Variant.LTX_2: "distilled", Variant.LTX_2_3: "ti2vid_two_stages"}


@dataclass(frozen=True, slots=True)
class Options:
    """Which cases a campaign runs, all where `only` is empty, and what it does beside them."""

    only: frozenset[str]
    keep: bool
    longest: bool
    time: bool


class Campaign:
    """The runs of one checkout in one folder, which it makes and empties."""

    def __init__(self, tree: Path, work: Path, out: Path, card: Card, options: Options) -> None:
        from verify.provenance import provenance_of

        self.tree, self.work, self.out, self.card = tree, work, out, card
        self.options = options
        gpu = gpu_of()
        if gpu is None:
            raise OutsideError(
                "there is no GPU here to measure on",
                remedy="use a machine with one of 24 GB or more",
            )
        self.gpu = gpu
        scripts = ("distilled", "ti2vid_two_stages", "keyframe_interpolation")
        self.about = provenance_of(
            tree,
            self.gpu,
            measured_files(scripts),
            held_to=f"{card.nominal_bytes / GIB:g} GB",
        )
        self.offloads = knows_flag(tree, "--offload")
        self.pictures = [work / "first.png", work / "last.png"]

    def run(self, variants: Sequence[Variant]) -> bool:
        """Every case of each; whether all held."""
        self._make_gemma()
        passed = True
        for variant in variants:
            files = self._make(variant)
            passed &= self._baseline(variant, files)
            if not self.options.keep:
                shutil.rmtree(files.root)
        return passed

    def _baseline(self, variant: Variant, files: FileSet) -> bool:
        name = f"vram-{self.about['base']}-{variant.value}-{_slug(self.gpu.name)}.json"
        path = self.out / name
        about = {**self.about, "model": NAMES[variant], "budget_gib": 24}
        baseline = baseline_file.begun(path, about)
        every = cases(variant, offloads=self.offloads)
        order = [case.name for case in every]
        for case in every:
            if self._is_due(case, baseline["runs"]):
                report = self._measure(case, variant, files)
                runs = baseline_file.with_run(baseline["runs"], report, order)
                checks = baseline_file.checks(runs, _bytes_of(self.work / "gemma-4bit"))
                baseline |= {"checks": checks, "runs": runs}
                baseline_file.keep(path, baseline)
        if self.options.longest:
            baseline["longest"] = self._longest(variant, files, baseline["runs"])
            baseline_file.keep(path, baseline)
        if self.options.time:
            self._time(variant, files)
        runs, checks = baseline["runs"], baseline["checks"]
        return all(run["as_expected"] for run in runs) and all(c["passed"] for c in checks)

    def _is_due(self, case: Case, runs: Sequence[dict[str, Any]]) -> bool:
        if self.options.only:
            return case.name in self.options.only
        return all(case.name != run["name"] for run in runs)

    def _measure(self, case: Case, variant: Variant, files: FileSet) -> dict[str, Any]:
        argv = self._words(case, files)
        asked = parse_asked(case.script, argv)
        gpu = self.gpu.index
        print(f"== {NAMES[variant]}: {case.name}", flush=True)
        run = measure(Task(self.tree, case.script, tuple(argv), self.card, gpu, case.until))
        findings = judged(asked, run.stages, self.card, read_limits())
        verdict = Verdict(findings, failure_of(run))
        print(table(run.stages), verdict.text, sep="\n", flush=True)
        report = report_of(asked, run, verdict, self.card, self.about)
        if case.until is None:
            plot = f"vram-{self.about['base']}-{variant.value}-{_slug(case.name)}.png"
            write_plot(report, self.out / plot)
        ran_out = run.failure is not None and run.failure.out_of_memory
        if case.outcome is Outcome.ANY:
            as_expected = run.failure is None or ran_out
        else:
            as_expected = verdict.passed if case.outcome is Outcome.FITS else ran_out
        whole = case.until is None
        name = NAMES[variant]
        return baseline_run(report, case.name, name, expected=as_expected, whole=whole)

    def _longest(
        self, variant: Variant, files: FileSet, runs: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """The longest clip at the usual size, from what the shapes have shown."""
        script, size = _MAIN[variant], f"{USUAL[0]}x{USUAL[1]}"
        shapes = {shape_case(script, shape).name for shape in SHAPES}
        known = [
            baseline_file.as_try(run)
            for run in runs
            if run["name"] in shapes and run["size"] == size
        ]

        def tried(frames: int) -> Try:
            case = shape_case(script, (*USUAL[:2], frames))
            argv = tuple(self._words(case, files))
            run = measure(Task(self.tree, script, argv, self.card, self.gpu.index))
            found = _try_of(frames, run)
            told = failure_of(run) or f"{gib(found.left_bytes)} GiB left"
            print(f"  {frames} frames: {told}", flush=True)
            return found

        found = longest(tried, known=known, first=USUAL[2], most=MOST_FRAMES)
        return {
            "pipeline": script,
            "size": size,
            "frames": found.frames,
            "tries": [[one.frames, gib(one.left_bytes)] for one in found.tries],
        }

    def _time(self, variant: Variant, files: FileSet) -> None:
        """Some runs of the usual shape, for verify/baselines/perf.json."""
        case = shape_case(_MAIN[variant], USUAL)
        argv = tuple(self._words(case, files))
        task = Task(self.tree, case.script, argv, self.card, self.gpu.index)
        record(Prepared(task, parse_asked(case.script, argv), self.about), TIMED_RUNS)

    def _make_gemma(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if (self.work / "gemma").exists():
            return
        for at, picture in enumerate(self.pictures):
            _draw(picture, at)
        built = self._build(Variant.LTX_2, "gemma-files", (Part.GEMMA,))
        (built.gemma_root).rename(self.work / "gemma")
        shutil.rmtree(built.root)
        with Pipelines(self.tree) as pipelines:
            out = self.work / "gemma-4bit"
            argv = ["--gemma-root", str(self.work / "gemma"), "--output", str(out), "--4bit"]
            done = pipelines.run("ltx_pipelines.quantize_gemma", argv, timeout_s=300)
        if done.code:
            raise InvalidError(f"quantize_gemma ended with {done.code}", remedy=done.err[-500:])

    def _make(self, variant: Variant) -> FileSet:
        parts = [Part.CHECKPOINT, Part.UPSAMPLER]
        if variant is not Variant.LTX_2:
            shutil.rmtree(self.work / "gemma-4bit", ignore_errors=True)  # the LoRA needs its room
            parts.append(Part.LORA)
        return self._build(variant, variant.value, parts)

    def _build(self, variant: Variant, name: str, only: Sequence[Part]) -> FileSet:
        from verify.synthetic.build import build_file_set
        from verify.synthetic.gemma_root import GemmaStorage
        from verify.synthetic.progress import on_stderr

        files = FileSet(self.work / name)
        if files.root.exists():
            return files
        build_file_set(
            files,
            variant,
            FULL,
            FULL.gemma[Gemma.GEMMA_3],
            GemmaStorage(shards=5),
            seed=0,
            blocks=Blocks.FP8,
            only=only,
            device="cuda",
            progress=on_stderr(),
        )
        return files

    def _words(self, case: Case, files: FileSet) -> list[str]:
        width, height, frames = case.shape
        root = self.work / ("gemma-4bit" if case.root == "prequantized" else "gemma")
        distilled = case.script == "distilled"
        of_distilled = distilled and knows_flag(self.tree, DISTILLED_CHECKPOINT)
        checkpoint = DISTILLED_CHECKPOINT if of_distilled else "--checkpoint-path"
        words: list[object] = [checkpoint, files.checkpoint, "--gemma-root", root]
        words += ["--spatial-upsampler-path", files.spatial_upsampler]
        if not distilled:
            # A run that ends with the prompts reads no LoRA: any file stands in for it.
            lora = files.spatial_upsampler if case.until else files.distilled_lora
            words += ["--distilled-lora", lora]
        words += ["--output-path", self.work / "clip.mp4", "--prompt", PROMPT, "--seed", 7]
        words += ["--width", width, "--height", height, "--num-frames", frames, "--frame-rate", 25]
        for at, picture in enumerate(self.pictures[: case.images]):
            words += ["--image", picture, at * (frames - 1), "1.0"]
        return [*map(str, words), *case.words]


PROMPT = "A red fox crosses a snowy clearing at dawn, stops, and looks up at a passing crow."


def main() -> int:
    """Measure, write, and return 0 where everything held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=Path, required=True, help="the patched checkout")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the weights")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the baselines")
    parser.add_argument("--models", nargs="+", default=["2.0", "2.3"], choices=["2.0", "2.3"])
    parser.add_argument(
        "--only", nargs="+", metavar="CASE", help="these cases alone, by the names it prints"
    )
    parser.add_argument("--longest", action="store_true", help="search the longest clip too")
    parser.add_argument(
        "--time", action="store_true", help="time some runs, for verify/baselines/perf.json"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the weights, for another checkout to take"
    )
    arguments = parser.parse_args()
    tree = arguments.tree.absolute()
    sys.path[:0] = [str(tree / "packages" / name / "src") for name in PACKAGES]
    try:
        card = parse_card("24GB")
        only = frozenset(arguments.only or ())
        _require_known(only)
        options = Options(only, arguments.keep, arguments.longest, arguments.time)
        campaign = Campaign(tree, arguments.work, arguments.out, card, options)
        passed = campaign.run([Variant(model) for model in arguments.models])
    except PatcherError as error:
        print(f"verify.gpu_vram: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0 if passed else 1


def _require_known(names: frozenset[str]) -> None:
    """Return if each is a case of some model. Raises: UsageError."""
    known = {case.name for variant in NAMES for case in cases(variant, offloads=True)}
    if unknown := sorted(names - known):
        raise UsageError(
            f"there is no case {unknown[0]!r}", remedy=f"choose of: {'; '.join(sorted(known))}"
        )


def _try_of(frames: int, run: Run) -> Try:
    left = [stage.left_bytes for stage in run.stages if stage.left_bytes is not None]
    return Try(frames, None if failure_of(run) else min(left))


def _bytes_of(root: Path) -> int:
    return sum(file.stat().st_size for file in root.glob("*.safetensors"))


def _slug(text: str) -> str:
    """For a file's name."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in text.lower()).split())


def _draw(path: Path, at: int) -> None:
    """A picture to start from: two gradients, another for each `at`."""
    import numpy as np
    from PIL import Image

    rows, columns = np.indices((704, 1280))
    pixels = np.stack([rows // 4, columns // 6, (rows + columns * (at + 1)) // 12], axis=-1)
    Image.fromarray((pixels % 256).astype(np.uint8)).save(path)


if __name__ == "__main__":
    raise SystemExit(main())

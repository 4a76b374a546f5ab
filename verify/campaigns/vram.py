"""Measure what the patched pipelines take of a 24 GB card, on a larger GPU held to one.

    python -m verify.campaigns.vram --tree PATCHED --work FOLDER --out FOLDER

Makes full-size random weights on the GPU, one file set at a time (60 GiB of disk do), runs every
case of vram_cases.py and writes a baseline for each model,
vram-<base>-<model>-<gpu>.json, and a timeline of each run that was no text encoding alone. Where
that folder has a baseline of the same code on the same GPU already, it runs what that one lacks, so
that a campaign that was cut off goes on; with --only, what that names, in place of older runs. Ends
with 1 where something that has to hold does not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.weights import read_header
from ltx2_patcher.jobs.models.room import require_room
from ltx2_patcher.rules.models.card import Card, parse_card
from ltx2_patcher.rules.models.lora import modules_of
from ltx2_patcher.values.errors import InvalidError, UsageError
from verify import command
from verify.campaigns.vram_cases import (
    NAMES,
    SHAPES,
    USUAL,
    CampaignCase,
    Outcome,
    cases,
    shape_case,
)
from verify.clips.tree import has_series
from verify.synthetic.architecture import FULL, Blocks, GemmaFamily, Variant
from verify.synthetic.files import FileSet, Part, named_models
from verify.upstream.command_line import GEMMA, LORA, ClipShape, Keyframe, command_line
from verify.upstream.process import Pipelines
from verify.upstream.provenance import base_of, code_of
from verify.upstream.tree import knows_flag, source_folders
from verify.vram import baseline_file
from verify.vram.baseline_file import slug
from verify.vram.ending import failure_of, try_of
from verify.vram.measurement import Measurement, measured
from verify.vram.perf import record
from verify.vram.plot import require_plots, write_plot
from verify.vram.report import baseline_run, gib, table
from verify.vram.requests import Prepared, about_of, prepared
from verify.vram.runner import measure
from verify.vram.search import MOST_FRAMES, Try, longest

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
    """The runs of one checkout, with weights in a folder of its own.

    Raises: UsageError (no patched base), OutsideError (no GPU that stands in for the card, no
    matplotlib).
    """

    def __init__(self, tree: Path, work: Path, out: Path, card: Card, options: Options) -> None:
        self.tree, self.work, self.out, self.card = tree, work, out, card
        self.options = options
        require_plots()
        self.gpu = require_room(machine.gpu(None), card)
        base = base_of(tree)
        if base is None or not has_series(tree):
            raise UsageError(
                f"{tree} is no base with the whole series, and a baseline is of one",
                remedy="run `make patch BASE=...`, and name vendor/LTX-2-...",
            )
        self.about = {**about_of(tree, self.gpu, card), "code": code_of(base, "vram")}
        self.offloads = knows_flag(tree, "--offload")
        self.pictures = [work / "first.png", work / "last.png"]
        self.no_lora = work / "no-lora.safetensors"

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
        name = f"vram-{self.about['base']}-{variant.value}-{slug(self.gpu.name)}.json"
        path = self.out / name
        about = {**self.about, "model": NAMES[variant], "budget_gib": 24}
        baseline = baseline_file.resume_baseline(path, about)
        every = cases(variant, offloads=self.offloads)
        order = [case.name for case in every]
        for case in every:
            if self._is_due(case, baseline["runs"]):
                measurement = self._measure(case, variant, files)
                runs = baseline_file.with_run(
                    baseline["runs"], _entry(case, variant, measurement), order
                )
                checks = baseline_file.checks(runs, _bytes_of(self.quantized))
                baseline |= {"checks": checks, "runs": runs}
                baseline_file.write_baseline(path, baseline)
                if case.until is None:
                    plot = f"vram-{self.about['base']}-{variant.value}-{slug(case.name)}.png"
                    write_plot(measurement.report(), self.out / plot)
        if self.options.longest:
            self._search(variant, files, path, baseline)
        if self.options.time:
            self._time(variant, files)
        runs, checks = baseline["runs"], baseline["checks"]
        return all(run["as_expected"] for run in runs) and all(c["passed"] for c in checks)

    def _is_due(self, case: CampaignCase, runs: Sequence[dict[str, Any]]) -> bool:
        if self.options.only:
            return case.name in self.options.only
        return all(case.name != run["name"] for run in runs)

    def _ready(self, case: CampaignCase, files: FileSet) -> Prepared:
        argv = self._command_line(case, files)
        # A case may ask for more than the card has: that is what is to be found out.
        return prepared(self.tree, case.script, argv, self.card.name, case.until, may_exceed=True)

    def _measure(self, case: CampaignCase, variant: Variant, files: FileSet) -> Measurement:
        print(f"== {NAMES[variant]}: {case.name}", flush=True)
        measurement = measured(self._ready(case, files))
        print(table(measurement.run.stages), measurement.verdict.text, sep="\n", flush=True)
        return measurement

    def _search(
        self, variant: Variant, files: FileSet, path: Path, baseline: dict[str, Any]
    ) -> None:
        """The longest clip at the usual size, from what the shapes have shown; each try is kept."""
        script, size = _MAIN[variant], f"{USUAL[0]}x{USUAL[1]}"
        flags = self._ready(shape_case(script, USUAL), files).workload.flags
        about: dict[str, Any] = {"pipeline": script, "size": size, "flags": " ".join(flags)}
        shapes = {shape_case(script, shape).name for shape in SHAPES}
        ran = [r for r in baseline["runs"] if r["name"] in shapes and r["size"] == size]
        shown = [one for one in map(baseline_file.as_try, ran) if one is not None]
        known = {one.frames: one for one in (*baseline_file.tries_of(baseline), *shown)}

        def tried(frames: int) -> Try:
            case = shape_case(script, (*USUAL[:2], frames))
            run = measure(self._ready(case, files).task)
            outcome = try_of(frames, run, self.card)
            print(f"  {frames} frames: {failure_of(run) or gib(outcome.left_bytes)}", flush=True)
            known[frames] = outcome
            baseline_file.write_baseline(
                path, baseline_file.with_tries(baseline, about, known.values())
            )
            return outcome

        answer = longest(tried, known=tuple(known.values()), first=USUAL[2], most=MOST_FRAMES)
        about["frames"] = answer.frames
        baseline_file.write_baseline(path, baseline_file.with_tries(baseline, about, answer.tries))

    def _time(self, variant: Variant, files: FileSet) -> None:
        """Some runs of the usual shape, for verify/baselines/perf.json."""
        record(self._ready(shape_case(_MAIN[variant], USUAL), files), TIMED_RUNS)

    @property
    def quantized(self) -> Path:
        """The root that this checkout's own script quantized."""
        return self.work / f"gemma-4bit-{self.about['base']}"

    def _make_gemma(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        for at, picture in enumerate(self.pictures):
            _draw(picture, at)
        gemma = self._build(Variant.LTX_2, "gemma", (Part.GEMMA,)).gemma_root
        if self.quantized.exists():
            return
        with Pipelines(self.tree) as pipelines:
            argv = ["--gemma-root", str(gemma), "--output", str(self.quantized), "--4bit"]
            done = pipelines.run("ltx_pipelines.quantize_gemma", argv, timeout_s=300)
        if done.code:
            raise InvalidError(
                f"quantize_gemma ended with {done.code}: {done.last_line}",
                remedy=f"see that {self.work} has 9 GiB left; if so, remove {gemma.parent}",
            )

    def _make(self, variant: Variant) -> FileSet:
        parts = [Part.CHECKPOINT, Part.UPSAMPLER]
        if variant is not Variant.LTX_2:
            if not self.options.keep:
                shutil.rmtree(self.quantized, ignore_errors=True)  # the LoRA needs its room
            parts.append(Part.LORA)
        files = self._build(variant, variant.value, parts)
        _write_idle_lora(self.no_lora, files.checkpoint)
        return files

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
            FULL.gemma[GemmaFamily.GEMMA_3],
            GemmaStorage(shards=5),
            seed=0,
            blocks=Blocks.FP8,
            only=only,
            device="cuda",
            progress=on_stderr(),
        )
        return files

    def _command_line(self, case: CampaignCase, files: FileSet) -> list[str]:
        gemma = FileSet(self.work / "gemma").gemma_root
        models = named_models(files)
        models[GEMMA] = self.quantized if case.root == "prequantized" else gemma
        # A run that ends with the prompts reads no LoRA: one that changes nothing stands in for it.
        models.setdefault(LORA, self.no_lora)
        shape = ClipShape(*case.shape)
        return command_line(
            self.tree,
            case.script,
            models,
            shape,
            prompt=PROMPT,
            seed=7,
            out=self.work / "clip.mp4",
            keyframes=[
                Keyframe(picture, at * (shape.frames - 1))
                for at, picture in enumerate(self.pictures[: case.images])
            ],
            flags=case.flags,
        )


PROMPT = "A red fox crosses a snowy clearing at dawn, stops, and looks up at a passing crow."


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.vram",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and write: 0 where everything held, 1 where not."""
    tree = args.tree.absolute()
    sys.path[:0] = map(str, source_folders(tree))
    only = frozenset(args.only or ())
    _require_known(only)
    options = Options(only, args.keep, args.longest, args.time)
    campaign = Campaign(tree, args.work, args.out, parse_card("24GB"), options)
    return 0 if campaign.run([Variant(model) for model in args.models]) else 1


def _require_known(names: frozenset[str]) -> None:
    """Return if each is a case of some model. Raises: UsageError."""
    known = {case.name for variant in NAMES for case in cases(variant, offloads=True)}
    if unknown := sorted(names - known):
        raise UsageError(
            f"there is no case {unknown[0]!r}", remedy=f"choose of: {'; '.join(sorted(known))}"
        )


def _entry(case: CampaignCase, variant: Variant, found: Measurement) -> dict[str, Any]:
    """The run as the baseline keeps it."""
    passed, ran_out = found.verdict.passed, found.run.out_of_memory
    expected = {Outcome.FITS: passed, Outcome.RUNS_OUT: ran_out, Outcome.ANY: passed or ran_out}
    return baseline_run(
        found.report(),
        case.name,
        NAMES[variant],
        expected=expected[case.outcome],
        whole=case.until is None,
    )


def _bytes_of(root: Path) -> int:
    return sum(file.stat().st_size for file in root.glob("*.safetensors"))


def _write_idle_lora(path: Path, checkpoint: Path) -> None:
    """A LoRA that adds nothing to one module of the checkpoint."""
    import numpy as np
    from safetensors.numpy import save_file

    module, (given, taken) = next(iter(modules_of(read_header(checkpoint).tensors).items()))
    zeros = {"A": np.zeros((1, taken), np.float32), "B": np.zeros((given, 1), np.float32)}
    save_file({f"{module}.lora_{name}.weight": value for name, value in zeros.items()}, path)


def _draw(path: Path, at: int) -> None:
    """A picture to start from: two gradients, another for each `at`."""
    import numpy as np
    from PIL import Image

    rows, columns = np.indices((704, 1280))
    pixels = np.stack([rows // 4, columns // 6, (rows + columns * (at + 1)) // 12], axis=-1)
    Image.fromarray((pixels % 256).astype(np.uint8)).save(path)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())

"""Measure clip after clip with parked weights, beside the same script without them.

    python -m verify.campaigns.parked --tree PATCHED --work FOLDER --out FILE

Makes random weights of a size, one file set at a time, runs each case in a child of its own
(ltx_pipelines.parked.child) and writes FILE after each: the seconds of each clip, what torch
reserved, and whether the clips are equal. Ends with 1 where a clip differs from the one without
parked weights, or a budget is not kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk, machine
from ltx2_patcher.boundaries.child import MODULE, Child, Died, Done, Failed
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.values.errors import ConflictError, UsageError
from verify import command
from verify.clips.cases import TINY as TINY_CLIP
from verify.synthetic.architecture import FULL, TINY, Blocks, GemmaFamily, Variant
from verify.synthetic.files import FileSet, Part, named_models
from verify.upstream.command_line import FP8_CAST, GEMMA, ClipShape, command_line
from verify.upstream.provenance import base_of, code_of, provenance_of
from verify.upstream.tree import knows_flag, script_environment, source_folders

CARDS_GIB = (6.5, 22.8)
"""What torch may reserve of a card of 8 and of 24 GB."""
_USUAL = ClipShape(768, 512, 121, fps=24)
_PROMPT = "A red fox crosses a snowy clearing at dawn, stops, and looks up at a passing crow."


@dataclass(frozen=True, slots=True)
class Case:
    """One script with one file set, without parked weights and with each budget."""

    name: str
    script: str
    variant: Variant
    blocks: Blocks
    flags: tuple[str, ...] = ()
    equal: bool = True  # compiled blocks round otherwise


CASES = (
    Case("distilled, fp8", "distilled", Variant.LTX_2, Blocks.FP8, FP8_CAST),
    Case(
        "distilled, fp8, compiled",
        "distilled",
        Variant.LTX_2,
        Blocks.FP8,
        (*FP8_CAST, "--compile"),
        equal=False,
    ),
    Case("distilled, bf16", "distilled", Variant.LTX_2, Blocks.BF16),
    Case("two stages, fp8", "ti2vid_two_stages", Variant.LTX_2_3, Blocks.FP8, FP8_CAST),
)


@dataclass(frozen=True, slots=True)
class Run:
    """Clips of one process."""

    case: str
    budget_gib: float | None  # None: weights are not parked
    seconds: tuple[float, ...]  # of each clip, from its request on
    reserved_gib: float  # the most that torch reserved
    clips: tuple[str, ...]  # their SHA-256
    failure: str | None = None


class Campaign:
    """The cases of one checkout."""

    def __init__(self, tree: Path, work: Path, out: Path, *, tiny: bool) -> None:
        base = base_of(tree)
        if base is None or not knows_flag(tree, "--vram-budget"):
            raise UsageError(
                f"{tree} is no base that parks weights",
                remedy="run `make patch`, and name vendor/LTX-2-1.0.0 or vendor/LTX-2-1.2.0",
            )
        self.tree, self.work, self.out, self.tiny = tree, work, out, tiny
        self.gpu = machine.gpu(None)
        self.about = {**provenance_of(tree, self.gpu), "code": code_of(base, "parked")}

    def run(self, cases: Sequence[Case], clips: int) -> bool:
        """Measure, and write after each run; whether all held."""
        runs: list[Run] = []
        for case in cases:
            files = self._build(case)
            for budget in (None, *CARDS_GIB):
                # Unparked, each clip takes as long as the first; two tell whether they repeat.
                runs.append(self._measured(case, files, budget, clips if budget else 2))
                print(json.dumps(asdict(runs[-1])), flush=True)
                self._write(cases, runs)
            if not self.tiny:
                files.checkpoint.unlink()
        return all(check["passed"] for check in checks(cases, runs))

    def _write(self, cases: Sequence[Case], runs: Sequence[Run]) -> None:
        found = [asdict(run) for run in runs]
        about: dict[str, Any] = {**self.about, "runs": found, "checks": checks(cases, runs)}
        disk.replace(self.out.absolute(), json.dumps(about, indent=1).encode() + b"\n")

    def _measured(self, case: Case, files: FileSet, budget: float | None, clips: int) -> Run:
        out = self.work / "clip.mp4"
        parking = () if budget is None else ("--vram-budget", str(budget))
        argv = command_line(
            self.tree,
            case.script,
            {**named_models(files), GEMMA: FileSet(self.work / "gemma").gemma_root},
            TINY_CLIP if self.tiny else _USUAL,
            prompt=_PROMPT,
            seed=7,
            out=out,
            flags=(*case.flags, *parking),
        )
        seconds: list[float] = []
        digests: list[str] = []
        reserved, failure = 0, None
        variables = script_environment(self.tree, self.gpu)
        with (
            (self.work / "child.log").open("ab") as log,
            Child([sys.executable, "-m", MODULE], variables, log) as child,
        ):
            for number in range(clips):
                child.request(str(number), f"ltx_pipelines.{case.script}", argv)
                end = next(_ends(child))
                if not isinstance(end, Done):
                    failure = f"it ended with {end.code}; {self.work / 'child.log'} says why"
                    break
                seconds.append(round(end.seconds, 2))
                reserved = max(reserved, end.peak_bytes)
                digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
                out.unlink()
        peak = round(reserved / GIB, 2)
        return Run(case.name, budget, tuple(seconds), peak, tuple(digests), failure)

    def _build(self, case: Case) -> FileSet:
        if not (self.work / "gemma").exists():
            self._make(self.work / "gemma", case, (Part.GEMMA,))
        files = FileSet(self.work / f"{case.variant.value}-{case.blocks.value}")
        if not files.checkpoint.exists():
            shutil.rmtree(files.root, ignore_errors=True)
            lora = () if case.script == "distilled" else (Part.LORA,)
            self._make(files.root, case, (Part.CHECKPOINT, Part.UPSAMPLER, *lora))
        return files

    def _make(self, root: Path, case: Case, only: Sequence[Part]) -> None:
        from verify.synthetic.build import build_file_set
        from verify.synthetic.gemma_root import GemmaStorage
        from verify.synthetic.progress import on_stderr

        size = TINY if self.tiny else FULL
        build_file_set(
            FileSet(root),
            case.variant,
            size,
            size.gemma[GemmaFamily.GEMMA_3],
            GemmaStorage(),
            seed=0,
            blocks=case.blocks,
            only=only,
            device="cuda" if self.gpu else "cpu",
            progress=on_stderr(),
        )


def _ends(child: Child) -> Iterator[Done | Failed | Died]:
    while True:
        yield from (e for e in child.events(60) if isinstance(e, Done | Failed | Died))


def checks(cases: Sequence[Case], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What has to hold of the runs so far."""
    found = []
    for run in runs:
        case = next(case for case in cases if case.name == run.case)
        plain = next(r for r in runs if r.case == run.case and r.budget_gib is None)
        name = f"{run.case}, {run.budget_gib} GiB"
        if run.failure is not None:
            found.append({"text": f"{name}: {run.failure}", "passed": False})
        if run.budget_gib is None:
            same = len(set(run.clips)) == 1
            found.append({"text": f"{run.case}, unparked: the clips are equal", "passed": same})
            continue
        kept = run.reserved_gib <= run.budget_gib
        found.append({"text": f"{name}: {run.reserved_gib} GiB reserved", "passed": kept})
        if case.equal:
            alike = set(run.clips) == set(plain.clips)
            found.append({"text": f"{name}: the clips equal the unparked one", "passed": alike})
    return found


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.parked",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tree", type=Path, required=True, help="the patched checkout")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the weights")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    names = [case.name for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CASE")
    parser.add_argument("--clips", type=int, default=3, help="of each process (default: 3)")
    parser.add_argument("--size", choices=["tiny", "full"], default="full")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and write: 0 where everything held, 1 where not."""
    tiny = args.size == "tiny"
    if not tiny and machine.gpu(None) is None:
        raise ConflictError(
            "full-size weights are drawn and run on a GPU, and there is none",
            remedy="use a machine with one, or give --size tiny",
        )
    tree = args.tree.absolute()
    sys.path[:0] = map(str, source_folders(tree))
    args.work.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(tree, args.work.absolute(), args.out, tiny=tiny)
    cases = [case for case in CASES if case.name in args.only]
    return 0 if campaign.run(cases, args.clips) else 1


main = partial(command.main, parser, run)

if __name__ == "__main__":
    sys.exit(main())

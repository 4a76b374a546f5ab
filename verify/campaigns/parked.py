"""Measure clip after clip with parked weights, beside the same script without them.

    python -m verify.campaigns.parked --tree PATCHED --work FOLDER --out FILE

Makes random weights of a size, one file set at a time (64 GiB of disk do), runs the rows of
parked_cases.py and writes FILE after each run: seconds, what torch reserved, whether clips are
equal, and what the row is for. Where FILE is of the same code on the same GPU already, it runs what
that lacks, so that a campaign that was cut off goes on; with --only, what that names, in place of
older runs. The file set of the last row stays. Ends with 1 where something that has to hold does
not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.values.errors import ConflictError, UsageError
from verify import command
from verify.campaigns.parked_cases import FOLDER_FLAG, ROWS, Files, Judged, Row, tiny
from verify.campaigns.parked_checks import Run, checks, needs, parse_run
from verify.campaigns.parked_runner import Runner
from verify.synthetic.architecture import FULL, TINY, GemmaFamily
from verify.synthetic.files import FileSet, Part, named_models
from verify.upstream.command_line import GEMMA
from verify.upstream.provenance import base_of, code_of, provenance_of
from verify.upstream.tree import knows_flag, source_folders
from verify.vram import baseline_file


class Campaign:
    """The rows of one checkout, whose file sets lie in `work`.

    Raises: UsageError (it parks no weights), InvalidError (`out` is damaged).
    """

    def __init__(
        self, tree: Path, work: Path, out: Path, rows: Sequence[Row], *, full: bool
    ) -> None:
        base = base_of(tree)
        if base is None or not knows_flag(tree, "--vram-budget"):
            raise UsageError(
                f"{tree} is no base that parks weights",
                remedy="run `make patch`, and name vendor/LTX-2-1.0.0 or vendor/LTX-2-1.2.0",
            )
        self.work, self.out, self.rows, self.full = work, out, rows, full
        self.shares = knows_flag(tree, FOLDER_FLAG)
        self.gpu = machine.gpu(None)
        self.baseline = baseline_file.resume_baseline(
            out,
            {
                **provenance_of(tree, self.gpu),
                "code": code_of(base, "parked"),
                "weights": f"random, of {'true' if full else 'tiny'} size",
            },
        )
        self.order = [(row.name, task.way) for row in rows for task in row.tasks]
        runs = map(parse_run, self.baseline["runs"])
        self.runs = [run for run in runs if (run.case, run.way) in self.order]
        self.runner = Runner(tree, self.gpu, work)

    def run(self, only: Sequence[str]) -> bool:
        """Run what is lacking, or the rows of these names anew; whether all held."""
        self.runs = [r for r in self.runs if r.case not in only and r.failure is None]
        with self.runner:
            for files, rows in groupby(self.rows, key=lambda row: row.files):
                self._run_those_of(files, [row for row in rows if row.name in only or not only])
        self._write()
        return all(check["passed"] for check in self.baseline["checks"])

    def _run_those_of(self, files: Files, rows: Sequence[Row]) -> None:
        done = {(run.case, run.way) for run in self.runs}
        due = [
            (row, task) for row in rows for task in row.tasks if (row.name, task.way) not in done
        ]
        if not due:
            return
        self.runner.end()
        models = self._build(files)
        for row, task in due:
            if row.shares and not self.shares:
                print(f"-- {row.name}: left out, the scripts have no {FOLDER_FLAG}", flush=True)
                continue
            print(f"== {row.name}: {task.way}", flush=True)
            run = self.runner.run(row, task, models, self._arithmetic_s(row))
            print(f"   {_told(run)}", flush=True)
            self.runs.append(run)
            self._write()

    def _arithmetic_s(self, row: Row) -> float | None:
        """What a step takes with every block on the card: the first run of such a row tells."""
        if row.judged is not Judged.LINK:
            return None
        whole = (row.name, row.tasks[0].way)
        found = (run.figures for run in self.runs if (run.case, run.way) == whole)
        return next(found, {}).get("step_s")

    def _write(self) -> None:
        runs = sorted(self.runs, key=lambda run: self.order.index((run.case, run.way)))
        self.baseline |= {
            "checks": checks(self.rows, runs, full=self.full),
            "needs": needs(self.rows, runs),
            "runs": [asdict(run) for run in runs],
        }
        baseline_file.write_baseline(self.out, self.baseline)

    def _build(self, files: Files) -> dict[str, Path]:
        """The models of a file set, by the flags that name them; of others none stays but Gemma."""
        gemma = FileSet(self.work / "gemma")
        if not gemma.root.exists():
            self._make(gemma, files, (Part.GEMMA,))
        own = FileSet(self.work / files.name)
        for other in {row.files.name for row in self.rows} - {files.name}:
            shutil.rmtree(self.work / other, ignore_errors=True)
        if not own.root.exists():
            lora = (Part.LORA,) if files.lora else ()
            self._make(own, files, (Part.CHECKPOINT, Part.UPSAMPLER, *lora))
        return {**named_models(own), GEMMA: gemma.gemma_root}

    def _make(self, made: FileSet, files: Files, only: Sequence[Part]) -> None:
        from verify.synthetic.build import build_file_set
        from verify.synthetic.gemma_root import GemmaStorage
        from verify.synthetic.progress import on_stderr

        size = FULL if self.full else TINY
        build_file_set(
            made,
            files.variant,
            size,
            size.gemma[GemmaFamily.GEMMA_3],
            GemmaStorage(),
            seed=0,
            blocks=files.blocks,
            only=only,
            device="cuda" if self.gpu else "cpu",
            progress=on_stderr(),
        )


def _told(run: Run) -> str:
    """A line for people."""
    if run.failure is not None:
        return run.failure
    figures = [f"{name} {value:g}" for name, value in run.figures.items()]
    reserved = [] if run.reserved_gib is None else [f"{run.reserved_gib} GiB reserved"]
    seconds = " ".join(map(str, run.seconds[:3]))
    return ", ".join([f"{seconds} s", *reserved, *figures])


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
    command.add_only(parser, [row.name for row in ROWS])
    parser.add_argument("--size", choices=["tiny", "full"], default="full")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and write: 0 where everything held, 1 where not."""
    full = args.size == "full"
    if full and machine.gpu(None) is None:
        raise ConflictError(
            "full-size weights are drawn and run on a GPU, and there is none",
            remedy="use a machine with one, or give --size tiny",
        )
    tree = args.tree.absolute()
    sys.path[:0] = map(str, source_folders(tree))
    args.work.mkdir(parents=True, exist_ok=True)
    rows = ROWS if full else tuple(map(tiny, ROWS))
    campaign = Campaign(tree, args.work.absolute(), args.out.absolute(), rows, full=full)
    return 0 if campaign.run(args.only) else 1


main = partial(command.main, parser, run)

if __name__ == "__main__":
    sys.exit(main())

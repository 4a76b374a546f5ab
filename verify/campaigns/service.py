"""Measure the video service: what it costs beside its clips, and what its promises come to.

    python -m verify.campaigns.service --out FILE                      with a fake renderer, no card
    python -m verify.campaigns.service --out FILE --gpus 0,1 --work FOLDER    with real scripts

With --gpus it makes random weights of the true size (64 GiB of disk do), unless FOLDER has them.
It writes FILE after each row; where FILE is of the same code on the same machine already, it runs
what that lacks, or what --only names. With --size tiny --gpus names workers on the CPU, which
proves this program and no figure. The service runs in this Python and renders in vendor/env-BASE's;
where that is lacking, this Python is taken for it. Ends with 1 where something that has to hold
does not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import ltx2_service
from ltx2_patcher.boundaries import machine, proc
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.values.errors import OutsideError, PatcherError, UsageError
from verify import command
from verify.campaigns.service_bench import Bench, Setting
from verify.campaigns.service_cards import TIGHT, TOO_LARGE, USUAL, Cards
from verify.campaigns.service_fakes import MEASURES
from verify.campaigns.service_rows import (
    ALONE,
    OVERHEAD_SHM,
    Figures,
    Of,
    Row,
    Run,
    card_rows,
    checks,
    parse_run,
)
from verify.clips.cases import TINY
from verify.upstream.code_digest import digest_of, file_digest
from verify.upstream.command_line import FP8_CAST, ClipShape
from verify.upstream.provenance import base_of, code_of, provenance_of
from verify.upstream.tree import ROOT, script_environment
from verify.vram import baseline_file

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that processes share memory in
_STARTER = ("-m", "verify.service.serving")
_PACKAGES = ("fastapi", "starlette", "uvicorn", "pydantic")
_TIGHT_GIB = 8.0  # the gate takes a model whose usual size has room, and this is just more
_BUILD_S = 600.0

Measure = Callable[[Mapping[str, Run]], Figures]


class Campaign:
    """The rows of one machine.

    Raises: UsageError (the base's checkout is not as the series has it), InvalidError (`args.out`
    is damaged), and as `code_of`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.full = args.size == "full"
        self.size = args.size if args.gpus else "tiny"
        self.work: Path = args.work.absolute()
        self.base = Store(ROOT).base(args.base)
        self.tree = checkout_path(Store(ROOT), self.base)
        if base_of(self.tree) != self.base.name:
            raise UsageError(
                f"{self.tree} is not {self.base.name} with the series as it is",
                remedy=f"run `make patch BASE={self.base.name}`",
            )
        self.python = environment_path(Store(ROOT), self.base) / "bin/python"
        _lend_python(self.python)
        self.rows = ALONE if args.gpus is None else card_rows(len(args.gpus))
        self.baseline = baseline_file.resume_baseline(args.out.absolute(), self._about())
        names = {row.name for row in self.rows}
        runs = map(parse_run, self.baseline["runs"])
        self.runs = {run.row: run for run in runs if run.row in names and run.failure is None}

    def run(self) -> bool:
        """Run what is lacking, or what was named anew; whether all held."""
        for name in self.args.only:
            self.runs.pop(name, None)
        wanted = [row for row in self.rows if not self.args.only or row.name in self.args.only]
        due = [row for row in wanted if row.name not in self.runs]
        if self.args.gpus is not None:
            self._run_cards(due)
        else:
            for row in due:
                self._measure(row, partial(self._alone, row))
        self._write()
        return all(check["passed"] for check in self.baseline["checks"])

    def _run_cards(self, due: Sequence[Row]) -> None:
        """One service for all of them, begun anew where a row failed, and where a row says so."""
        left = [*due]
        while left:
            with Bench(self.work / "cards", self._cards_setting()) as bench:
                shapes = (ClipShape(768, 512, 121), TOO_LARGE) if self.full else (TINY, TINY)
                rows = Cards(bench, self.python, *shapes, self.args.clips).rows
                while left:
                    row = left.pop(0)
                    if not self._measure(row, rows[row.name]) or row.ends_service:
                        break

    def _alone(self, row: Row, before: Mapping[str, Run]) -> Figures:
        """Of a service that runs for this row only."""
        in_memory = row.name == OVERHEAD_SHM
        with (
            tempfile.TemporaryDirectory(dir=_SHARED_MEMORY if in_memory else self.work) as folder,
            Bench(Path(folder) / "alone", self._alone_setting(fake=row.of is Of.FAKE)) as bench,
        ):
            return MEASURES[row.name](bench, before)

    def _measure(self, row: Row, measure: Measure) -> bool:
        """Whether it came to an end."""
        print(f"== {row.name}", flush=True)
        began_s = time.monotonic()
        try:
            with _within(row.limit_s):
                figures = {name: round(value, 3) for name, value in measure(self.runs).items()}
            run = Run(row.name, round(time.monotonic() - began_s, 1), figures)
        except PatcherError as error:
            run = Run(row.name, failure=f"{error}; {error.remedy}")
        told = run.failure or ", ".join(f"{name} {value:g}" for name, value in run.figures.items())
        print(f"   {told} ({time.monotonic() - began_s:.1f} s)", flush=True)
        self.runs[row.name] = run
        self._write()
        return run.failure is None

    def _write(self) -> None:
        runs = [self.runs[row.name] for row in self.rows if row.name in self.runs]
        self.baseline |= {
            "checks": checks(self.rows, runs, full=self.full),
            "runs": [asdict(run) for run in runs],
        }
        baseline_file.write_baseline(self.args.out.absolute(), self.baseline)

    def _about(self) -> dict[str, object]:
        gpus = self.args.gpus or ()
        card = machine.gpu(gpus[0]) if gpus and self.full else None
        about = provenance_of(self.tree, card)
        cpus = f"{about['machine']}, {os.cpu_count()} cores"
        ours = {
            path.relative_to(ROOT).as_posix(): path.read_bytes()
            for path in sorted(Path(str(ltx2_service.__file__)).parent.rglob("*.py"))
        }
        return {
            **about,
            "machine": cpus if card is None else f"{len(gpus)} x {card.name}",
            "versions": self._versions(),
            "code": code_of(self.base.name, "service"),
            "service": digest_of([file_digest(path, data) for path, data in ours.items()]),
            "weights": f"random, of {'true' if self.size == 'full' else 'tiny'} size",
        }

    def _versions(self) -> dict[str, str]:
        """Of what renders, and of what serves."""
        code = "import json; from verify.upstream.provenance import versions; "
        code += "print(json.dumps(versions()))"
        done = proc.call([str(self.python), "-c", code], env=script_environment(self.tree))
        if done.code:
            raise OutsideError(f"{self.python}: {done.complaint}", remedy="run `make install`")
        rendering: dict[str, str] = json.loads(done.out)
        serving = {name: importlib.metadata.version(name) for name in _PACKAGES}
        return {"python": sys.version.split()[0], **rendering, **serving}

    def _alone_setting(self, *, fake: bool) -> Setting:
        if not fake:
            return Setting(models=(self._model(),))
        return Setting(models=(self._model(),), program=_STARTER, options=("--fake",))

    def _cards_setting(self) -> Setting:
        usual = self._model()
        return Setting(
            models=(usual, {**usual, "name": TIGHT, "vram_budget": _TIGHT_GIB}),
            gpus=self.args.gpus,
            weights_folder=Path(tempfile.mkdtemp(dir=_SHARED_MEMORY)),
            program=("-m", "ltx2_service", "run") if self.full else _STARTER,
        )

    def _model(self) -> dict[str, object]:
        """As serve.toml has it; its files are made where they are lacking."""
        root = self.work / f"weights-{self.size}"
        if not root.exists():
            print("== making random weights", flush=True)
            part = root.with_name(f"{root.name}.part")
            argv = ["-m", "verify.synthetic", str(part), "--variant", "2.0", "--blocks", "fp8"]
            argv += ["--size", self.size, "--only", "checkpoint,upsampler,gemma"]
            done = proc.watch(
                [str(self.python), "-W", "ignore", *argv],
                lambda line: print(f"   {line}", flush=True),
                env=script_environment(self.tree),
            )
            if done.code:
                raise OutsideError(f"no weights: {done.complaint}", remedy="free some disk")
            part.rename(root)
        return {
            "name": USUAL,
            "base": self.base.name,
            "pipeline": "distilled",
            "flags": list(FP8_CAST),
            "files": {
                "distilled_checkpoint_path": root / "checkpoint.safetensors",
                "spatial_upsampler_path": root / "spatial_upsampler.safetensors",
                "gemma_root": root / "gemma",
            },
        }


def _lend_python(python: Path) -> None:
    """Where a base has no environment, this Python stands in for it, with what is on its path."""
    if not python.exists():
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """Raises: OutsideError, once so many seconds have passed."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise OutsideError(f"not ended within {limit_s:.0f} s", remedy="see the service's log")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.service",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--base", default="1.2.0", help="of vendor/LTX-2-BASE")
    parser.add_argument("--work", type=Path, default=Path("vendor/service"), help="a folder")
    parser.add_argument("--gpus", type=_gpus, help="nvidia-smi's indices: 0,1")
    parser.add_argument("--size", choices=["tiny", "full"], default="full")
    parser.add_argument("--clips", type=int, default=10, help="a card, for its rate (default: 10)")
    command.add_only(parser, [row.name for row in (*ALONE, *card_rows(1))])
    return parser


def _gpus(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def run(args: argparse.Namespace) -> int:
    """Measure and write: 0 where everything held, 1 where not."""
    args.work.mkdir(parents=True, exist_ok=True)
    return 0 if Campaign(args).run() else 1


main = partial(command.main, parser, run)

if __name__ == "__main__":
    sys.exit(main())

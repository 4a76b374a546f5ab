"""Files that do not go together are told in one sentence, and nothing is started."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from tests.trees import ROOT
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, FileSets
from tests.weight_files import TINY_GEMMA_4, plain, write_gemma
from verify.upstream.command_line import Gemma

pytestmark = pytest.mark.revisions(since="2026-03-05")


@dataclass(frozen=True)
class Started:
    """How `ltx2-patcher run` ended, and whether it started a Python of the environment."""

    code: int
    out: str
    err: str
    python: bool


@dataclass(frozen=True)
class Command:
    """`ltx2-patcher run` on LTX-2.3, with an environment that notes each start of its Python."""

    argv: tuple[str, ...]
    folder: Path

    def run(self, *more: str) -> Started:
        note, python = self.folder / "started", self.folder / "bin/python"
        python.parent.mkdir(exist_ok=True)
        python.write_text(f'#!/bin/sh\necho >>"{note}"\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        tool = [
            sys.executable,
            "-m",
            "ltx2_patcher",
            "run",
            "--base",
            BASE,
            "--python",
            str(python),
        ]
        done = subprocess.run(
            [*tool, "--dry-run", "ti2vid_two_stages", "--", *self.argv, *more],
            cwd=ROOT,
            # The tool's own: upstream is not on its path.
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
        )
        return Started(done.returncode, done.stdout, done.stderr, note.exists())


@pytest.fixture
def command(fileset: FileSets, patched_tree: Path, tmp_path: Path) -> Command:
    case = Case("ti2vid_two_stages", Mode.T2V, Gemma.FLAG_4BIT, "2.3")
    files, clip = fileset("2.3"), tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, clip, tree=patched_tree)
    return Command(tuple(argv), tmp_path)


def _refused(started: Started, code: int, sentence: str, remedy: str) -> None:
    assert (started.code, started.out, started.python) == (code, "", False)
    told, to_do = started.err.splitlines()
    assert told.startswith("ltx2-patcher: ")
    assert sentence in told
    assert remedy in to_do


def test_what_goes_together_is_started(command: Command) -> None:
    """The control of the tests below."""
    started = command.run()
    assert (started.code, started.err, started.python) == (0, "", True)
    assert "-m ltx_pipelines.ti2vid_two_stages" in started.out


def test_an_upsampler_of_ltx_2_is_refused_with_ltx_2_3(command: Command, fileset: FileSets) -> None:
    upsampler = fileset("2.0").spatial_upsampler
    _refused(
        command.run("--spatial-upsampler-path", str(upsampler)),
        3,
        f"{upsampler} is the upsampler of LTX-2, which does not go with LTX-2.3 22B",
        "give the upsampler that is published beside LTX-2.3",
    )


@pytest.mark.revisions(before="2026-08-11")
def test_gemma_4_is_refused_where_nothing_takes_it(command: Command, tmp_path: Path) -> None:
    root = write_gemma(tmp_path / "gemma4", plain(gemma_keys(TINY_GEMMA_4)), TINY_GEMMA_4)
    _refused(
        command.run("--gemma-root", str(root)),
        2,
        f"base {BASE} loads nothing that goes with it",
        "give Gemma 3 12B",
    )


@pytest.mark.revisions(since="2026-08-11")
def test_gemma_4_is_refused_with_ltx_2_3(command: Command, fileset: FileSets) -> None:
    _refused(
        command.run("--gemma-root", str(fileset("2.5").gemma_root)),
        3,
        "does not go with LTX-2.3 22B",
        "Gemma 3 12B goes with LTX-2 and LTX-2.3, the Gemma 4 12B of its own with LTX-2.5",
    )


@pytest.mark.revisions(since="2026-08-11")
def test_gemma_3_and_older_upsamplers_are_refused_with_ltx_2_5(
    command: Command, fileset: FileSets
) -> None:
    newest, oldest = fileset("2.5"), fileset("2.0")
    model = ("--checkpoint-path", str(newest.checkpoint))
    _refused(command.run(*model), 3, "does not go with LTX-2.5 22B", "give the Gemma")
    upsampler = ("--spatial-upsampler-path", str(oldest.spatial_upsampler))
    gemma = ("--gemma-root", str(newest.gemma_root))
    _refused(command.run(*model, *gemma, *upsampler), 3, "upsampler of LTX-2,", "beside LTX-2.5")

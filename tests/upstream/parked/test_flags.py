"""What a script says of a budget that can't be."""

from pathlib import Path

import pytest

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, FileSets
from verify.upstream.command_line import Gemma
from verify.upstream.process import Finished, Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"


def run(pipelines: Pipelines, fileset: FileSets, folder: Path, *more: str) -> Finished:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    files = fileset(VARIANT)
    out = folder / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=pipelines.tree)
    done = pipelines.run(case.module, [*argv, *more])
    assert not out.exists()
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "much", ""])
def test_a_budget_is_auto_or_a_size(
    budget: str, patched: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    done = run(patched, fileset, tmp_path, f"--vram-budget={budget}")
    assert done.code == 2
    assert "must be auto or a number of GiB above 0" in done.last_line


@pytest.mark.revisions(since="2026-05-28")  # before, scripts have neither
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--offload", "cpu"), "leave --offload out"),
        (("--compile", "capture=true"), "give --compile without a mode"),
        (("--compile", "mode=reduce-overhead"), "give --compile without a mode"),
    ],
)
def test_what_can_not_go_with_it_is_refused(
    flags: tuple[str, ...], said: str, patched: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    done = run(patched, fileset, tmp_path, "--vram-budget", "auto", *flags)
    assert done.code == 2
    assert said in done.last_line


def test_a_folder_for_weights_is_one_that_can_be_written(
    patched: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    more = ("--vram-budget", "auto", "--weights-folder", str(tmp_path / "file/weights"))
    done = run(patched, fileset, tmp_path, *more)
    assert done.code == 2
    assert "file/weights can't be made: Not a directory" in done.last_line


def test_a_folder_for_weights_goes_with_a_budget(
    patched: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    done = run(patched, fileset, tmp_path, "--weights-folder", str(tmp_path / "weights"))
    assert done.code == 2
    assert "give that too" in done.last_line

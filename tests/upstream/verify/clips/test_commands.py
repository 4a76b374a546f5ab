"""What is typed: exit codes, sentences, and no traceback for bad input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.upstream.verify.clips.recordings import QUANTIZED, write_recording
from verify.clips.__main__ import main
from verify.clips.models import Models
from verify.upstream.command_line import CHECKPOINT, DISTILLED_CHECKPOINT, UPSAMPLER


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_check_says_whether_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = write_recording(tmp_path / "a").folder
    assert run("check", reference, write_recording(tmp_path / "b").folder) == 0
    assert "every byte of 2 clips is equal" in capsys.readouterr().out
    out = write_recording(tmp_path / "c", QUANTIZED, hidden_noise=3.0).folder
    assert run("check", reference, out) == 1
    said = capsys.readouterr().out
    assert "OUT distilled-t2v    hidden-state cosine" in said
    assert "below its bound of 0.8" in said.splitlines()[-1]


def test_report_writes_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [write_recording(tmp_path / name, names=("keyframes",)).folder for name in "ab"]
    page = tmp_path / "deep" / "page.html"
    assert run("report", *folders, "--html", page) == 0
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert "needs no network" in capsys.readouterr().out


def bad(tmp_path: Path, models: Models) -> dict[str, tuple[list[object], int, str]]:
    """What is typed, the exit code, and what is said."""
    record = ["record", "--tree", os.environ["LTX2_PATCHED_TREE"], "--out", tmp_path / "out"]
    files = models.paths[CHECKPOINT].parent
    whole = write_recording(tmp_path / "whole").folder
    torn = write_recording(tmp_path / "torn").folder
    (torn / "keyframes" / "clip.mp4").write_bytes(b"")
    no_model = whole / "keyframes" / "latents.safetensors"
    page = ["--html", tmp_path / "page.html"]
    distilled = [DISTILLED_CHECKPOINT, no_model, "--gemma-root", models.text_encoder]
    distilled += [UPSAMPLER, models.paths[UPSAMPLER]]
    return {
        "no weights": (record, 2, "no weights were named"),
        "no such set": ([*record, "--files", tmp_path / "none"], 2, "holds no file set"),
        "weights twice": ([*record, "--files", files, CHECKPOINT, "x"], 2, "both name weights"),
        "no upstream": (
            ["record", "--tree", tmp_path, "--out", tmp_path / "out", "--files", files],
            3,
            f"{tmp_path} is no patched checkout",
        ),
        "no LTX model": (
            [*record, *distilled],
            5,
            "is no LTX-2 checkpoint",
        ),
        "out is taken": (
            [*record[:-1], whole, "--files", files],
            2,
            "exists and is not empty",
        ),
        "no recording": (["check", whole, tmp_path], 2, "no recording"),
        "torn": (["check", whole, torn], 5, "is torn: keyframes/clip.mp4 has changed"),
        "one recording": (["report", whole, *page], 2, "at least two recordings"),
        "no memory report": (
            ["report", whole, whole, *page, "--vram", tmp_path / "none.json"],
            2,
            "there is no",
        ),
        "arguments for nothing": (["check", whole, whole, "--", "--x"], 2, "stands behind --"),
    }


def test_bad_input_is_one_sentence_and_a_remedy(
    tmp_path: Path, models: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (arguments, code, said) in bad(tmp_path, models).items():
        assert run(*arguments) == code, name
        err = capsys.readouterr().err
        assert said in err, name
        assert "\n  to do: " in err, name
        assert not (tmp_path / "out").exists(), name
        assert not (tmp_path / "page.html").exists(), name


def test_the_command_ends_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "verify.clips", "check", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

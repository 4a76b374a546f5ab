"""The one handler of verify's command lines, with a small command of its own."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import InvalidError
from tests.conftest import ROOT
from verify import command

Run = Callable[[argparse.Namespace], int]


def called(run: Run, *argv: str, runs_a_script: bool = True) -> int:
    def parser() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog="python -m verify.small")
        parser.add_argument("--tree")
        if runs_a_script:
            parser.set_defaults(passed_on=())
        return parser

    return command.main(parser, run, argv)


def test_what_stands_behind_the_first_dashes_is_upstreams() -> None:
    seen: list[tuple[str, tuple[str, ...]]] = []

    def run(args: argparse.Namespace) -> int:
        seen.append((args.tree, args.passed_on))
        return 1

    assert called(run, "--tree", "a", "--", "--seed", "7", "--", "x") == 1
    assert called(run, "--tree", "b") == 1
    assert seen == [("a", ("--seed", "7", "--", "x")), ("b", ())]


def test_a_command_that_runs_no_script_refuses_what_stands_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert called(lambda _: 0, "--", "--seed", "7", runs_a_script=False) == 2
    assert "--seed 7 stands behind --" in capsys.readouterr().err


def test_an_error_is_its_sentence_its_remedy_and_its_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise InvalidError("a file is torn", remedy="copy it again")

    assert called(run) == 5
    assert capsys.readouterr().err == "verify.small: a file is torn\n  to do: copy it again\n"


def test_ctrl_c_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert called(run) == 130
    assert capsys.readouterr().err == "verify.small: interrupted\n"


PROGRAM = """
import argparse, sys, time
from pathlib import Path
from verify import command

def parser():
    parser = argparse.ArgumentParser(prog="python -m verify.small")
    parser.add_argument("file", type=Path)
    return parser

def run(args):
    args.file.touch()
    try:
        for _ in range({lines}):
            print("begun", flush=True)
        time.sleep({seconds})
    finally:
        args.file.unlink()
    return 0

raise SystemExit(command.main(parser, run))
"""


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_cleans_up(sent: signal.Signals, tmp_path: Path) -> None:
    program = PROGRAM.format(lines=1, seconds=60)
    words = [sys.executable, "-c", program, str(tmp_path / "begun")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(sent)
        assert process.wait(30) == 128 + sent
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_ends_the_command_without_a_word(tmp_path: Path) -> None:
    program = PROGRAM.format(lines=100_000, seconds=0)
    words = [sys.executable, "-c", program, str(tmp_path / "begun")]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []

"""Processes: watched line by line, or become."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ltx2_patcher.boundaries.proc import Done, become, watch
from ltx2_patcher.values.errors import OutsideError

BECOME = (
    "import os, sys\n"
    "from ltx2_patcher.boundaries.proc import become\n"
    "become([sys.executable, '-c', sys.argv[1], *sys.argv[2:]], {**os.environ, 'SAID': 'so'})\n"
)


def test_each_line_is_handed_on_as_it_comes() -> None:
    seen: list[str] = []
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)"
    done = watch([sys.executable, "-c", code], seen.append)
    assert seen == ["one", "two"]
    assert (done.code, done.complaint) == (3, "two")


def test_the_complaint_is_no_advice() -> None:
    said = b"error: it is so\nhint: do this\nhint: or that\n"
    assert Done(("x",), 1, b"", said).complaint == "error: it is so"
    assert Done(("x",), 1, b"", b"fatal: first\nfatal: second\n").complaint == "fatal: first"
    assert Done(("x",), -25, b"", b"").complaint == "ended by signal 25"


def test_an_interrupted_watch_leaves_no_child() -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    seen: list[int] = []

    def stop(line: str) -> None:
        seen.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([sys.executable, "-c", code], stop)
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def test_a_missing_program_is_told() -> None:
    with pytest.raises(OutsideError, match="not found"):
        watch(["/nowhere/python"], print)
    with pytest.raises(OutsideError, match="not found"):
        become(["/nowhere/python"], {})


def test_what_it_becomes_gives_the_exit_code() -> None:
    code = "import os, sys; print(os.environ['SAID'], sys.argv[1]); sys.exit(41)"
    done = subprocess.run(
        [sys.executable, "-c", BECOME, code, "--a b"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (41, "so --a b\n")


def test_what_it_becomes_gets_the_signals() -> None:
    code = "import time; print('up', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", BECOME, code], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == -signal.SIGTERM

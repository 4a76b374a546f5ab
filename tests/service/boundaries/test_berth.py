"""A worker's place: who holds it, and what is left of who did."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth

HOLD = """
import sys, time
from pathlib import Path
from ltx2_service.boundaries.berth import Berth
held = Berth(Path(sys.argv[1]), sys.argv[2]).take()
print("held" if held else "taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def berth(tmp_path: Path) -> Berth:
    berth = Berth(tmp_path, "gpu0")
    berth.make()
    return berth


def holding(berth: Berth) -> subprocess.Popen[str]:
    """A process that takes the place, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(berth.state), berth.name],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_one_process_holds_it_until_it_ends(berth: Berth) -> None:
    assert berth.holder() is None
    with holding(berth) as first, holding(berth) as second:
        assert first.stdout is not None and second.stdout is not None
        assert {first.stdout.readline(), second.stdout.readline()} == {"held\n", "taken\n"}
        assert berth.holder() in {first.pid, second.pid}
        assert berth.take() is None
        berth.clear()
        assert berth.holder() is None
        first.kill()
        second.kill()


def test_what_a_worker_started_is_found_by_its_mark(berth: Berth) -> None:
    other = Berth(berth.state, "gpu1")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(sleep, env={**os.environ, **berth.mark}, start_new_session=True) as own,
        subprocess.Popen(sleep, env={**os.environ, **other.mark}) as theirs,
    ):
        while b"LTX2" not in Path(f"/proc/{own.pid}/environ").read_bytes():
            time.sleep(0.01)
        berth.clear()
        assert own.wait(10) == -9
        assert theirs.poll() is None
        theirs.kill()


def test_a_log_grown_large_is_put_aside(berth: Berth) -> None:
    with berth.log.open("ab") as log:
        log.write(b"short")
        log.flush()
        berth.rotate_log()
        assert berth.log.stat().st_size == 5
        log.truncate(17 << 20)
        berth.rotate_log()
        assert berth.log.stat().st_size == 0
        log.write(b"goes on")
    assert berth.log.read_bytes() == b"goes on"
    assert berth.log.with_suffix(".log.1").stat().st_size == 17 << 20

"""One process serves a state folder, and whoever looks is told which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import BusyError, OutsideError
from ltx2_service.boundaries.lock import Holder, held, holder, is_held
from tests.conftest import ROOT

HOLDS = """
import sys
from pathlib import Path
from ltx2_service.boundaries.lock import Holder, held
with held(Path(sys.argv[1])) as tell:
    tell(Holder(17, "127.0.0.1", 6020))
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(state: Path) -> subprocess.Popen[bytes]:
    """Another process that holds it until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(state)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_it_is_told_who_serves(tmp_path: Path) -> None:
    state = tmp_path / "new/state"
    assert (is_held(state), holder(state)) == (False, None)
    with held(state) as tell:
        assert (is_held(state), holder(state)) == (True, None)
        tell(Holder(5, "::1", 80))
        assert holder(state) == Holder(5, "::1", 80)
    assert (is_held(state), holder(state)) == (False, None)
    with held(state):
        assert holder(state) is None  # not the one before


def test_a_second_is_told_of_the_first(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        with pytest.raises(BusyError, match="process 17, on port 6020, serves") as raised:
            held(tmp_path).__enter__()
        assert "serve stop" in raised.value.remedy
        other.kill()
    assert not is_held(tmp_path)
    with held(tmp_path):
        pass


def test_who_only_looks_stops_nobody(tmp_path: Path) -> None:
    """A looker holds the lock for a moment; here many look all the time."""
    look = f"""
from pathlib import Path
from ltx2_service.boundaries.lock import holder
print(flush=True)
while True: holder(Path({str(tmp_path)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", look], cwd=ROOT, stdout=subprocess.PIPE) as looker:
        assert looker.stdout is not None
        looker.stdout.readline()
        for number in range(50):
            with held(tmp_path) as tell:
                tell(Holder(number, "", number))
        looker.kill()


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError):
        held(tmp_path / "file").__enter__()

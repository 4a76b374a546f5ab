"""A service in the background: it is up once it answers, and it ends whether it will or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import BusyError, ConflictError, OutsideError
from ltx2_service.boundaries.lock import is_held
from ltx2_service.jobs import control
from ltx2_service.jobs.control import LOG, start, status, stop
from ltx2_service.values.settings import Settings
from tests.conftest import ROOT

SERVES = (sys.executable, str(Path(__file__).with_name("small_serves.py")))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = Settings((), tmp_path / "state", tmp_path / "clips", drain_s=5, tree=ROOT)
    yield found
    stop(found)


def test_it_is_started_asked_and_ended(settings: Settings) -> None:
    with pytest.raises(ConflictError, match="does not run"):
        status(settings)
    assert stop(settings) is None
    there = start(settings, (*SERVES, str(settings.state)))
    assert status(settings) == (there, {"status": "ok"})
    with pytest.raises(BusyError, match=f"process {there.pid}"):
        start(settings, (*SERVES, str(settings.state)))
    stopped = stop(settings)
    assert stopped == control.Stopped(there.pid, killed=False)
    assert not is_held(settings.state)
    assert "ended as asked" in (settings.state / LOG).read_text()


def test_one_that_does_not_end_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_BEYOND_S", 0.2)
    stubborn = replace(settings, drain_s=0.1)
    there = start(stubborn, (*SERVES, str(settings.state), "stubborn"))
    assert stop(stubborn) == control.Stopped(there.pid, killed=True)
    assert not is_held(settings.state)


@pytest.mark.parametrize(
    ("manner", "told", "remedy"),
    [
        ("refuses", "the weights are gone", "look for them"),
        ("breaks", "ended at its start: ZeroDivisionError", LOG),
    ],
)
def test_why_it_did_not_come_up_is_told(
    settings: Settings, manner: str, told: str, remedy: str
) -> None:
    (settings.state).mkdir()
    (settings.state / LOG).write_text("ltx2-service: an older one\n  to do: nothing\n")
    with pytest.raises(OutsideError, match=told) as raised:
        start(settings, (*SERVES, str(settings.state), manner))
    assert remedy in raised.value.remedy

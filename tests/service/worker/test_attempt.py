"""One attempt, with its renderer's process, and no worker around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_service.values.told import Ended
from ltx2_service.worker import attempt
from ltx2_service.worker.attempt import Attempt
from ltx2_service.worker.renderer import Process
from tests.service.executors.conftest import Bench


def ended(attempt: Attempt, *, cancel: bool = False) -> Ended:
    """How it ends; with `cancel` it is asked to as soon as it has begun."""
    while True:
        for told in attempt.turn(0.02):
            if isinstance(told, Ended):
                return told
            if cancel:
                attempt.cancel()


def test_a_renderer_deaf_to_a_cancel_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_CANCEL_S", 0.2)
    bench = Bench(tmp_path)
    bench.berth.make()
    with bench.berth.log.open("ab") as log:
        process = Process(log, bench.berth.mark)
        deaf = Attempt(bench.assignment("a", "--hang"), process, bench.berth)
        failure = ended(deaf, cancel=True).failure
        assert failure is not None and failure.code == "cancelled"
        assert process.base is None  # it is gone
        after = Attempt(bench.assignment("b"), process, bench.berth)
        assert ended(after).failure is None
        process.end()

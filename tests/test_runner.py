"""The runner tells what it runs, how far that is, and the counts; a log only where it failed."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from tests import runner
from tests.conftest import ROOT
from tests.runner import Done, Running, Suite, environment_owner

PASSING = """
import pytest

def test_here():
    print("nobody reads this")

@pytest.mark.skip(reason="no GPU here")
def test_there(): ...
"""
FAILING = """
def test_wrong():
    print("this helps")
    assert 1 == 2
"""


def suite(folder: Path, name: str, source: str, usual_s: int) -> Suite:
    path = folder / f"test_{name}.py"
    path.write_text(source)
    command = (sys.executable, "-u", "-m", "pytest", "-c", "/dev/null", "-rs", str(path))
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # which takes longer than the rest
    return Suite(name, command, usual_s, bare)


def test_suites_are_told_as_they_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short, long = suite(tmp_path, "good", PASSING, 60), suite(tmp_path, "bad", FAILING, 180)
    done = runner._run_all([short, long], tmp_path, estimate=True)
    told = capsys.readouterr().out
    first, *rest = told.splitlines()
    assert first == "2 suites, 2 at a time, about 2 min on quiet cores"
    assert [line.split(":")[0] for line in rest[:2]] == ["start   bad", "start   good"]
    assert str(tmp_path / "test_bad.py") in rest[0]
    assert "SKIPPED [1] " in told and "no GPU here" in told and "nobody reads this" not in told
    assert "===== bad =====" in told and "this helps" in told
    assert "done    good: 1 passed, 1 skipped, " in told
    codes = {one.suite.name: (one.code, dict(one.counts)) for one in done}
    assert codes == {"bad": (1, {"failed": 1}), "good": (0, {"passed": 1, "skipped": 1})}


def test_a_suite_that_is_killed_has_failed(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)", "pytest")
    done = Running(Suite("killed", command, 1), tmp_path).done()
    assert (done.code, dict(done.counts)) == (-9, {"failed": 1})


def test_how_far_a_suite_is_stands_in_its_log(tmp_path: Path) -> None:
    running = Running(suite(tmp_path, "good", PASSING, 1), tmp_path)
    running.process.wait()
    assert running.share == "100 %"
    running.log.write_text("tests/a.py ....   [ 12%]\ntests/b.py ..")
    assert running.share == "12 %"
    running.log.write_text("")
    assert running.share == "0 %"


def test_an_environment_serves_every_base_that_it_has_the_pins_of() -> None:
    bases = Store(ROOT).bases()
    for base in bases:
        owner = environment_owner(base, bases)
        assert base.environment.items() <= owner.environment.items()
        assert environment_owner(owner, bases) == owner


def test_a_proof_is_renewed_by_a_whole_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[str, int]] = []
    monkeypatch.setattr(runner, "record", lambda base, passed: kept.append((base, passed)))
    whole, part = Suite("1.0.0", (), 1, proves="1.0.0"), Suite("1.0.0", (), 1)
    for suite, code, counts in (
        (whole, 1, Counter(passed=5, failed=1)),
        (whole, 0, Counter(passed=6, skipped=1)),
        (part, 0, Counter(passed=7)),
        (whole, 0, Counter(passed=8)),
    ):
        Done(suite, code, counts).keep_proof()
    assert kept == [("1.0.0", 8)]

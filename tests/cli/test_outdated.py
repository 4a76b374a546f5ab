"""outdated, as a person or a timer types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ltx2_patcher.values.errors import NEWS
from tests.small_upstream import MODULE, SmallUpstream, patcher


def test_outdated_has_an_exit_code_for_news(small: SmallUpstream) -> None:
    done = patcher(small, "outdated")
    assert done.returncode == NEWS, done.stderr
    assert "rebase --onto" in done.stdout and "strict=True" in done.stdout
    done = patcher(small, "outdated")
    assert (done.returncode, "reported before" in done.stdout) == (0, True)
    commit = small.publish({MODULE: "gone = 1\n"})
    done = patcher(small, "outdated", "--json")
    assert done.returncode == NEWS
    (news,) = json.loads(done.stdout)["fresh"]
    assert (news["commit"], news["supported_by"]) == (commit, None)
    assert {file["path"] for file in news["files"]} == {MODULE}
    assert json.loads(patcher(small, "outdated", "--json").stdout)["fresh"] == []


def test_outdated_without_upstream_says_so(small: SmallUpstream, tmp_path: Path) -> None:
    small.place.rename(tmp_path / "away")
    done = patcher(small, "outdated")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert not (small.store.vendor / "outdated.json").exists()


def test_two_reports_at_once_report_once(small: SmallUpstream) -> None:
    patcher(small, "matrix")  # brings the tool there
    command = [sys.executable, "-m", "ltx2_patcher", "outdated"]
    root = small.store.patches.parent
    runs = [subprocess.Popen(command, cwd=root, stdout=-1, stderr=-1) for _ in range(2)]
    for run in runs:
        run.communicate()
    assert sorted(run.returncode for run in runs) == [0, NEWS]

"""apply, unapply and status, as people type them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BASE, ROOT, Run, git
from tests.small_upstream import SmallUpstream
from tests.small_upstream import patcher as small_patcher


def test_apply_status_unapply_by_hand(patcher: Run, tree: Path) -> None:
    done = patcher("apply", "--tree", tree)
    assert done.returncode == 0, done.stderr
    assert "every file is as the lock says" in done.stdout and "next: " in done.stdout
    for entry in (ROOT / f"patches/{BASE}/series").read_text().split():
        assert Path(entry).name in done.stdout
    assert "nothing to do" in patcher("apply", "--tree", tree).stdout
    assert "patched, up to" in patcher("status", "--tree", tree).stdout
    assert patcher("unapply", "--tree", tree).returncode == 0
    assert f"{tree}: upstream" in patcher("status", "--tree", tree).stdout


@pytest.mark.slow
def test_a_lock_held_by_another_run_is_waited_for_then_refused(patcher: Run, tree: Path) -> None:
    state = tree / ".git/ltx2-patcher"
    state.mkdir()
    with (state / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = patcher("apply", "--tree", tree)
    assert done.returncode == 6 and "another ltx2-patcher" in done.stderr


def test_two_processes_at_once_do_it_once(tree: Path) -> None:
    command = [sys.executable, "-m", "ltx2_patcher", "apply", "--tree", str(tree)]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True) for _ in range(3)]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum("every file is as the lock says" in text for text in said) == 1
    assert git(tree, "status", "--porcelain") == ""


FULL_DISK = """
set -e
mount -t tmpfs -o size=40m none "$PLACE"
cp -r "$TREE" "$PLACE/tree"
head -c "$(($(df --output=avail -B1 "$PLACE" | tail -1) - $LEFT))" /dev/zero > "$PLACE/filler"
set +e
"$PYTHON" -m ltx2_patcher apply --tree "$PLACE/tree"
echo "code $?"
ls "$PLACE/tree/.git" | grep crash
rm "$PLACE/filler"
"$PYTHON" -m ltx2_patcher apply --tree "$PLACE/tree" && cd "$PLACE/tree" &&
git status --porcelain && cd "$OLDPWD" &&
"$PYTHON" -m ltx2_patcher unapply --tree "$PLACE/tree" && cd "$PLACE/tree" &&
git status --porcelain --untracked-files=all && git symbolic-ref HEAD
"""


@pytest.mark.parametrize(
    "left",
    [0, 120_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (40_000, 250_000, 500_000))],
)
def test_a_full_disk_loses_nothing(tree: Path, tmp_path: Path, left: int) -> None:
    """On a real file system of 40 MB with `left` bytes free."""
    place = tmp_path / "place"
    place.mkdir()
    environ = {"PLACE": place, "TREE": tree, "LEFT": left, "PYTHON": sys.executable}
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK],
        cwd=ROOT,
        env=os.environ | {key: str(value) for key, value in environ.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    first, _, rest = done.stdout.partition("code ")
    assert "Traceback" not in done.stderr
    assert rest.startswith("4\n"), done.stdout + done.stderr
    assert "no space left" in done.stderr
    assert first == ""
    assert "crash" not in rest
    assert rest.splitlines()[-1] == "refs/heads/work", done.stdout + done.stderr
    assert " M " not in rest and "?? " not in rest


def test_a_tree_without_permission_is_one_sentence(patcher: Run, tree: Path) -> None:
    if os.geteuid() == 0:
        # Root writes anywhere but into an immutable place; /proc is one that every Linux has.
        done = patcher("apply", "--tree", "/proc")
        assert done.returncode == 3 and "Traceback" not in done.stderr
        return
    (tree / ".git").chmod(0o555)
    done = patcher("apply", "--tree", tree)
    (tree / ".git").chmod(0o755)
    assert done.returncode == 4 and "permission" in done.stderr


def test_status_tells_what_differs(patcher: Run, tree: Path) -> None:
    patcher("apply", "--tree", tree)
    path = "packages/ltx-pipelines/src/ltx_pipelines/distilled.py"
    (tree / path).write_text("# mine\n")
    done = json.loads(patcher("status", "--tree", tree, "--json").stdout)
    assert done["judgement"] == {"standing": "edited", "group": None, "differing": [path]}


def test_apply_and_status_say_which_base_supports_a_tree(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = small.clone(tmp_path / "clone", "merges")
    done = small_patcher(small, "apply", "--tree", tree)
    commit = small.commits["merges"]
    assert f"is at {commit[:12]}, which is no base" in done.stdout
    assert re.search(r"strip_the_text\.patch .* 3-way$", done.stdout, re.MULTILINE)
    assert (
        f"base small merged into {commit[:12]}"
        in small_patcher(small, "status", "--tree", tree).stdout
    )
    told = json.loads(small_patcher(small, "apply", "--tree", tree, "--json").stdout)
    assert (told["action"], told["base"], told["revision"]) == ("nothing to do", "small", commit)
    assert small_patcher(small, "unapply", "--tree", tree).returncode == 0
    told = json.loads(small_patcher(small, "apply", "--tree", tree, "--json").stdout)
    assert [patch["how"] for patch in told["patches"]] == ["strict", "3-way", "strict"]

"""What people type: words, exit codes, JSON; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BASE, ROOT, Environment, Run, git


def test_apply_status_unapply_by_hand(patcher: Run, tree: Path) -> None:
    done = patcher("apply", "--tree", tree)
    assert done.returncode == 0, done.stderr
    assert "every file is as the lock says" in done.stdout and "next: " in done.stdout
    for name in (ROOT / f"patches/{BASE}/series").read_text().split():
        assert name in done.stdout
    assert "nothing to do" in patcher("apply", "--tree", tree).stdout
    assert "patched, up to" in patcher("status", "--tree", tree).stdout
    assert patcher("unapply", "--tree", tree).returncode == 0
    assert f"{tree}: upstream" in patcher("status", "--tree", tree).stdout


def test_every_verb_speaks_json(
    patcher: Run, tree: Path, environment: Environment, tmp_path: Path
) -> None:
    python = environment.python
    calls = [
        ("apply", "--tree", tree, "--dry-run"),
        ("apply", "--tree", tree),
        ("status", "--tree", tree),
        ("unapply", "--tree", tree),
        ("apply", "--site-packages", python),
        ("status", "--site-packages", python),
        ("unapply", "--site-packages", python),
        ("export", "--mbox", tmp_path / "x.mbox"),
        ("lint",),
    ]
    for arguments in calls:
        done = patcher(*arguments, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        assert json.loads(done.stdout)
    failed = patcher("apply", "--tree", tmp_path, "--json")
    assert json.loads(failed.stdout)["exit_code"] == failed.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["apply", "--base", "1.0.1"], 2, "1.0.0"),
        (["apply", "--upto", "gemma-qant"], 2, "gemma-quant"),
        (["apply", "--source", "ftp"], 2, "git"),
        (["aply"], 2, "apply"),
        ([], 2, "VERB"),
        (["apply", "--tree", "/nonexistent"], 3, "--tree"),
        (["apply", "--site-packages", "/nonexistent"], 2, ".venv/bin/python"),
        (["apply", "--tree", ".", "--source", "git"], 2, "fresh checkout"),
        (["lint", "--", "x"], 2, "only `run`"),
        (["apply", "--tree", ".", "--site-packages", "python"], 2, "not allowed"),
        (["export", "--mbox", "/nonexistent/x/y.mbox"], 4, "permission"),
        (["status", "--base", "x"], 2, "1.0.0"),
    ],
)
def test_bad_input_is_one_sentence_and_a_remedy(
    patcher: Run, arguments: list[str], code: int, words: str
) -> None:
    if arguments[:1] == ["export"] and os.geteuid() == 0:
        arguments = ["export", "--mbox", "/proc/x/y.mbox"]
        code, words = 4, ""
    done = patcher(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if code != 2:
        assert "to do: " in done.stderr


def test_a_lock_held_by_another_run_is_waited_for_then_refused(patcher: Run, tree: Path) -> None:
    import fcntl

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


def test_a_copy_of_the_tool_without_its_patches_says_so(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ltx2_patcher", tmp_path / "ltx2_patcher")
    done = subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5 and "clone of this repository" in done.stderr


def test_output_that_can_not_be_written_is_no_traceback(patcher: Run, tree: Path) -> None:
    command = [sys.executable, "-m", "ltx2_patcher", "status", "--tree", str(tree)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=-1, text=True, check=False)
    assert (done.returncode, "can't be written" in done.stderr) == (4, True)
    odd = tree.with_name("t\u00f6 \u4f60")
    shutil.copytree(tree, odd)
    done = subprocess.run(
        [*command[:-1], str(odd)],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    ("verb", "closed", "code", "words"),
    [
        ("log", ">&-", 4, "can't be written"),
        ("--help", ">&-", 4, "can't be written"),
        ("--help", ">/dev/full", 4, "can't be written"),
        ("export --mbox -", ">&-", 4, "can't be written"),
        ("log", ">&- 2>&- <&-", 4, ""),
        ("log --base none", "2>&-", 2, ""),
        ("new a --message -", "<&-", 5, "not one line of subject"),
    ],
)
def test_streams_that_are_closed_are_no_traceback(
    verb: str, closed: str, code: int, words: str
) -> None:
    command = f'exec "$0" -m ltx2_patcher {verb} {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=ROOT,
        # Unbuffered, argparse itself swallows what goes wrong with a help.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
    assert done.stdout == ""


def test_a_home_that_is_nobodys_is_a_name_like_any_other(patcher: Run, tmp_path: Path) -> None:
    for arguments in (
        ("status", "--tree", "~nobody-of-that-name/x"),
        ("inspect", "~nobody-of-that-name/x"),
        ("new", "a", "--message", "~nobody-of-that-name/x"),
    ):
        done = patcher(*arguments)
        assert done.returncode in {2, 3}, done.stderr
        assert "~nobody-of-that-name/x" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv drops root's privileges")
@pytest.mark.parametrize("locked", ["vendor", "vendor/upstream.git", "vendor/LTX-2-1.0.0/.git"])
def test_a_place_that_can_not_be_looked_at_is_a_sentence(
    tmp_path: Path, published: Path, locked: str
) -> None:
    root = tmp_path / "repository"
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "vendor/upstream.git").mkdir(parents=True)
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    shutil.copytree(published, root / f"vendor/LTX-2-{BASE}", symlinks=True)
    (root / locked).chmod(0)
    prefix: list[str] = []
    if os.geteuid() == 0:  # root looks everywhere unless it gives that up
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    for verb in (["rebase"], ["export", "--dry-run"], ["export", "--check"], ["status"], ["run"]):
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "ltx2_patcher", *verb],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, (verb, done.stderr)
        if done.returncode:
            assert "to do: " in done.stderr, (verb, done.stderr)
    (root / locked).chmod(0o755)


def test_the_mailbox_goes_to_stdout_and_spares_what_is_no_file(
    patcher: Run, tmp_path: Path
) -> None:
    done = patcher("export", "--mbox", "-")
    assert done.stdout.startswith("From 0000") and done.returncode == 0
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    done = patcher("export", "--mbox", link)
    assert (done.returncode, "not a plain file" in done.stderr) == (3, True)
    assert link.is_symlink()

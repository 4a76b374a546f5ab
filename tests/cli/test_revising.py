"""The maintainer's verbs as a person types them, on a copy of the whole repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.base import GROUPS, Base
from tests.conftest import BASE, files, world
from tests.jobs.series.test_publication import TWIN, add_twin, checkout
from tests.jobs.series.test_revise import HELP, LOAD, TYPES, append
from tests.small_repository import make_repository

WORDS = (
    *("--why", "Whoever reads the types wants to know what they are called, and upstream is mute."),
    *("--until", "when upstream names them.", "--status", "Pending", "--group", "ampere"),
)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Path:
    """To be copied: making one takes seconds."""
    store = make_repository(tmp_path_factory.mktemp("untouched") / "whole", published, base)
    add_twin(store)
    subprocess.run(["git", "checkout", "-q", "--", "."], cwd=checkout(store), check=True)
    return store.root


@pytest.fixture
def whole(tmp_path: Path, untouched: Path) -> Store:
    return Store(Path(shutil.copytree(untouched, tmp_path / "whole", symlinks=True)))


def patcher(
    whole: Store, *arguments: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", *arguments],
        cwd=whole.root,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_day_of_a_maintainer(whole: Store) -> None:
    tree = checkout(whole)
    append(tree / TYPES, "NAMED = True\n")
    append(tree / "packages/ltx-core/src/ltx_core/__init__.py", "")
    tried = patcher(whole, "new", "name_the_types", *WORDS, "--dry-run")
    assert tried.returncode == 0 and "name_the_types.patch" in tried.stdout
    done = patcher(whole, "new", "name_the_types", *WORDS)
    assert done.returncode == 0, done.stderr
    assert f"written  patches/{BASE}/name_the_types.patch" in done.stdout
    assert "next: make check" in done.stdout
    text = patcher(whole, "log").stdout
    assert "name_the_types.patch" in text and "It can go when upstream names them." in text
    shown = patcher(whole, "diff", TWIN, BASE).stdout
    assert re.search(r"^ - > +\d+  name_the_types\.patch$", shown, re.MULTILINE)
    assert f" 1 =  1  {LOAD}" in shown
    append(tree / TYPES, "NAMES = 2\n")
    assert patcher(whole, "edit", "name_the_types").returncode == 0
    assert "NAMES = 2" in (whole.patches / BASE / "name_the_types.patch").read_text()
    assert patcher(whole, "move", "name_the_types", "--after", LOAD).returncode == 2
    assert patcher(whole, "edit", "name_the_types", "--group", "gemma-quant").returncode == 0
    assert patcher(whole, "move", "name_the_types", "--after", LOAD).returncode == 0
    again = patcher(whole, "move", "name_the_types", "--after", LOAD)
    assert "nothing to do" in again.stdout
    assert patcher(whole, "drop", "name_the_types.patch").returncode == 0
    assert "patched, up to int8" in patcher(whole, "status").stdout
    checked = patcher(whole, "export", "--check")
    assert checked.returncode == 0, checked.stderr
    count = len(whole.series(BASE).patches)
    assert f"{BASE}: {count} patches, the same byte for byte" in checked.stdout
    assert f"{TWIN}: {count} patches, not checked" in checked.stdout


def test_every_verb_speaks_json(whole: Store) -> None:
    append(checkout(whole) / TYPES, "NAMED = True\n")
    calls = [
        ("new", "Name the types", *WORDS, "--dry-run"),
        ("new", "Name the types", *WORDS),
        ("edit", "name_the_types", "--status", "Pending (soon)"),
        ("move", "name_the_types", "--after", "fold_the_scales_of_prequantized_fp8_checkpoints"),
        ("drop", "name_the_types"),
        ("log",),
        ("diff", BASE, TWIN),
        ("diff", BASE, TWIN, "--all"),
        ("export", "--check"),
        ("export",),
    ]
    for arguments in calls:
        done = patcher(whole, *arguments, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        assert json.loads(done.stdout)
    (first, *_) = json.loads(patcher(whole, "log", "--json").stdout)["patches"]
    assert set(first) >= {"name", "group", "status", "why", "until", "files"}
    failed = patcher(whole, "drop", LOAD, "--json")
    assert json.loads(failed.stdout)["exit_code"] == failed.returncode == 3


def test_a_message_from_a_file_or_a_pipe(whole: Store, tmp_path: Path) -> None:
    append(checkout(whole) / TYPES, "NAMED = True\n")
    message = (
        "Name the types\n\nWhoever reads the types wants to know what they are called, and "
        "upstream is mute.\n\nIt can go when upstream names them.\n\nUpstream-Status: Pending\n"
    )
    file = tmp_path / "message"
    file.write_text(message)
    done = patcher(whole, "new", "name_the_types", "--message", str(file))
    assert (done.returncode, "Group" in done.stderr) == (5, True)
    named = patcher(whole, "new", "other", "--message", str(file), "--group", "lean")
    assert (named.returncode, "not other.patch" in named.stderr) == (2, True)
    done = patcher(
        whole, "new", "name_the_types", "--message", "-", "--group", "lean", stdin=message
    )
    assert done.returncode == 0, done.stderr
    assert whole.lock(BASE).groups == GROUPS


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["new", "x"], 2, "--why, --until, --status, --group missing"),
        (["new", "x", *WORDS, "--message", "f"], 2, "leave the others out"),
        (["new", "x", "--message", "/nonexistent"], 2, "can't be read"),
        (["new", "x", *WORDS, "--why", "Short."], 5, "why it exists"),
        (["new", "!!!", *WORDS], 5, "no file name"),
        (["new", "x", *WORDS], 3, "no such uncommitted edits"),
        (["new", "x", *WORDS, "--tree", "/nonexistent"], 3, "--tree"),
        (["edit", HELP, "--group", "fat"], 5, "Group"),
        (["edit", "show_the_help_of_scripts"], 2, HELP),
        (["edit", "overlay"], 3, "no such uncommitted edits"),
        (["drop", LOAD], 3, f"builds on {LOAD}"),
        (["drop", "../x"], 2, "no patch"),
        (["move", HELP], 2, "--after"),
        (["log", "--base", "9"], 2, BASE),
        (["diff", BASE, "9"], 2, BASE),
        (["diff", BASE], 2, "BASE"),
        (["export", "--check", "--tree", "."], 2, "not allowed"),
        (["export", "--check", "--base", TWIN], 2, f"make patch BASE={TWIN}"),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(
    whole: Store, arguments: list[str], code: int, words: str
) -> None:
    before = world(checkout(whole)), files(whole.patches)
    if arguments[:2] == ["new", "!!!"]:
        append(checkout(whole) / TYPES, "NAMED = True\n")
        before = world(checkout(whole)), files(whole.patches)
    done = patcher(whole, *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert (world(checkout(whole)), files(whole.patches)) == before


FULL_DISK = """
set -e
mount -t tmpfs -o size=60m none "$PLACE"
cp -r "$ROOT" "$PLACE/whole"
cd "$PLACE/whole"
head -c "$(($(df --output=avail -B1 "$PLACE" | tail -1) - $LEFT))" /dev/zero > "$PLACE/filler"
set +e
"$PYTHON" -B -m ltx2_patcher edit overlay
echo "code $?"
rm "$PLACE/filler"
"$PYTHON" -B -m ltx2_patcher edit overlay > "$PLACE/said" 2>&1
grep -q "Traceback" "$PLACE/said" && cat "$PLACE/said"
"$PYTHON" -B -m ltx2_patcher lint && "$PYTHON" -B -m ltx2_patcher export &&
grep -c "laid in" patches/overlay/packages/ltx-pipelines/src/ltx_pipelines/utils/gemma_flags.py
git -C vendor/LTX-2-1.0.0 status --porcelain --untracked-files=no
"""


@pytest.mark.parametrize(
    "left",
    [0, 300_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (150_000, 450_000, 700_000))],
)
def test_a_full_disk_loses_nothing(whole: Store, tmp_path: Path, left: int) -> None:
    """On a real file system of 60 MB with `left` bytes free."""
    flags = checkout(whole) / "packages/ltx-pipelines/src/ltx_pipelines/utils/gemma_flags.py"
    append(flags, "# laid in\n")
    place = tmp_path / "place"
    place.mkdir()
    environ = {"PLACE": place, "ROOT": whole.root, "LEFT": left, "PYTHON": sys.executable}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK],
        env=kept | {key: str(value) for key, value in environ.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert "Traceback" not in done.stdout + done.stderr
    code, *_ = done.stdout.partition("code ")[2].splitlines()
    assert code == "0" or (code == "4" and "no space left" in done.stderr), done.stderr
    assert left or code == "4"
    assert done.stdout.splitlines()[-1] == "1", done.stdout + done.stderr

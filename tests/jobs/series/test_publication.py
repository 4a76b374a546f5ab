"""patches/ changes in one step, all bases' locks and the tree with it, whatever cuts it off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries import journal
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.jobs.series.export import check_export, export
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.revise import edit_patch
from ltx2_patcher.rules.series.lock_file import render_base_lock
from ltx2_patcher.rules.series.upstream_file import with_base
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, OutsideError
from tests.conftest import BASE, ROOT, files, git, world
from tests.jobs.series.test_interruption import LONG, killed_at, points
from tests.jobs.series.test_revise import ARGS, FLAGS, HELP, LOAD, MESSAGE, TYPES, append
from tests.rebases import LEDGER, copy_bases

NEWEST = "1.2.0"
TWIN = "twin"
"""A second base with the same series: what the other bases of patches/ are to an export."""


def add_twin(store: Store) -> None:
    """Pin the base's commit under a second name, with a lock of its own."""
    twin = replace(store.base(BASE), name=TWIN, wheels=())
    lock = replace(store.lock(BASE), base=TWIN)
    store.pins_file.write_bytes(with_base(store.pins_text(), twin, BASE))
    shutil.copytree(store.patches / BASE, store.patches / TWIN)
    (store.patches / TWIN / "lock.json").write_bytes(render_base_lock(lock))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Path:
    """The whole tool with a patched checkout and three bases; to be copied."""
    root = tmp_path_factory.mktemp("untouched") / "whole"
    for name in ("ltx2_patcher", "tests/jobs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    copy_bases(root, (BASE, NEWEST), url=base.url)
    store = Store(root)
    add_twin(store)
    tree = checkout(store)
    shutil.copytree(published, tree, symlinks=True)
    git(tree, "switch", "-q", "-c", "work")
    apply_tree(store, base, tree)
    return root


@pytest.fixture
def repository(tmp_path: Path, untouched: Path) -> Store:
    return Store(Path(shutil.copytree(untouched, tmp_path / "whole", symlinks=True)))


def checkout(store: Store) -> Path:
    return store.vendor / f"LTX-2-{BASE}"


def run(store: Store, *arguments: str, point: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the copy's command line; killed at the `point`-th event, where that is not 0."""
    return killed_at(point, store.root, *arguments, tool=store.root)


def test_the_overlay_renews_its_one_lock_for_all_bases(repository: Store, base: Base) -> None:
    tree = checkout(repository)
    append(tree / FLAGS, "# laid in\n")
    git(tree, "commit", "-q", "-a", "--amend", "--no-edit")
    done = export(repository, base, tree)
    bases = [item.name for item in repository.bases()]
    assert {BASE, TWIN} < set(bases)
    assert set(done.changed) == {f"patches/overlay/{FLAGS}", "patches/overlay.lock.json"}
    assert [item.base for item in lint(repository)] == bases
    assert (repository.patches / "overlay" / FLAGS).read_text().endswith("# laid in\n")


@pytest.mark.parametrize("fault", ["torn", "symbols", "upstream's"])
def test_another_base_that_can_not_take_the_overlay_stops_it(
    repository: Store, base: Base, fault: str
) -> None:
    tree = checkout(repository)
    append(tree / FLAGS, "# laid in\n")
    twin = repository.patches / TWIN
    if fault == "torn":
        (twin / LOAD).write_text("torn")
    elif fault == "symbols":
        append(twin / "symbols.toml", f'\n[lean]\n"{FLAGS}" = ["--not-there"]\n')
    else:
        lock = repository.lock(TWIN)
        moved = {group: {**blobs, FLAGS: "1" * 40} for group, blobs in lock.after.items()}
        taken = replace(lock, before={**lock.before, FLAGS: "0" * 40}, after=moved)
        (twin / "lock.json").write_bytes(render_base_lock(taken))
    before = world(tree), files(repository.root)
    with pytest.raises(InvalidError, match="twin|upstream's own"):
        edit_patch(repository, base, tree, "overlay")
    assert (world(tree), files(repository.root)) == before


def test_check_proves_every_base_byte_for_byte(repository: Store, base: Base) -> None:
    shutil.copytree(checkout(repository), repository.vendor / f"LTX-2-{TWIN}", symlinks=True)
    before = files(repository.root)
    checked = {item.name: check_export(repository, item).source for item in repository.bases()}
    there = {name: f"LTX-2-{name}" for name in (BASE, TWIN)}
    assert checked == dict.fromkeys(checked) | there  # the others have no checkout here
    assert files(repository.root) == before
    shutil.rmtree(repository.vendor / f"LTX-2-{TWIN}")
    assert check_export(repository, repository.base(TWIN)).source is None


def test_check_finds_a_byte_that_exporting_would_change(repository: Store, base: Base) -> None:
    """The header's order says the same to every reader, and git would not write it so."""
    path = repository.patches / BASE / LOAD
    lock = repository.lock(BASE)
    head, date, subject, rest = path.read_bytes().split(b"\n", 4)[1:]
    swapped = b"\n".join([b"From " + b"0" * 40 + b" Mon Sep 17 00:00:00 2001", head])
    path.write_bytes(b"\n".join([swapped, subject, date, rest]))
    import hashlib

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    patches = {**lock.patches, LOAD: replace(lock.patches[LOAD], sha256=sha256)}
    renewed = render_base_lock(replace(lock, patches=patches))
    (repository.patches / BASE / "lock.json").write_bytes(renewed)
    lint(repository)
    with pytest.raises(InvalidError, match=f"{LOAD} is not, byte for byte") as caught:
        check_export(repository, base)
    assert "remove that file" in caught.value.remedy
    path.unlink()
    export(repository, base, checkout(repository))
    check_export(repository, base)


def test_a_tree_with_a_part_of_the_series_is_not_exported(repository: Store, base: Base) -> None:
    tree = checkout(repository)
    apply_tree(repository, base, tree, upto="lean")
    before = files(repository.root)
    with pytest.raises(ConflictError, match="no patch of portable, parked"):
        export(repository, base, tree)
    assert files(repository.root) == before


def edited(store: Store, verb: str) -> list[str]:
    """Make the edits that a verb takes; the command line."""
    tree = checkout(store)
    if verb == "export":
        append(tree / FLAGS, "# laid in\n")
        append(tree / ARGS, "# committed\n")
        git(tree, "commit", "-q", "-a", "--amend", "--no-edit")
        return ["export"]
    if verb == "new":
        append(tree / FLAGS, "# laid in\n")
        append(tree / TYPES, "NAMED = True\n")
        (store.vendor / "message").write_text(MESSAGE)
        return ["new", "name_the_types", "--message", str(store.vendor / "message")]
    if verb == "edit":
        text = (tree / LEDGER).read_text()
        (tree / LEDGER).write_text(text.replace("class ModelLedger", "# made\nclass ModelLedger"))
        return ["edit", LOAD]
    return ["drop", HELP] if verb == "drop" else ["move", HELP, "--after", LOAD]


def state(store: Store) -> tuple[object, ...]:
    tree = checkout(store)
    seen = git(tree, "status", "--porcelain"), git(tree, "symbolic-ref", "HEAD")
    patches = {path: data for path, (_, data) in files(store.patches).items()}
    # A new patch is dated when it is made, so its digest and the commits differ run by run.
    patches = {
        path: data.partition(b"Date: ")[0] + data.partition(b"Subject: ")[2]
        for path, data in patches.items()
        if not path.endswith("lock.json")
    }
    return seen, patches, files(tree / "packages")


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize(
    "verb", ["export", *(pytest.param(v, marks=pytest.mark.slow) for v in ("new", "edit", "drop"))]
)
def test_a_killed_verb_is_done_wholly_by_the_next(
    repository: Store, base: Base, tmp_path: Path, verb: str, long: bool
) -> None:
    command = edited(repository, verb)
    start = tmp_path / "start"
    shutil.copytree(repository.root, start, symlinks=True)
    done = run(repository, *command)
    assert done.returncode == 0, done.stderr
    after = state(repository)
    total = int(done.stdout.rsplit("events: ", 1)[1])
    assert total > 20
    for point in points(total, long=long)[:: 1 if verb == "export" and long else 3]:
        shutil.rmtree(repository.root)
        shutil.copytree(start, repository.root, symlinks=True)
        before = state(repository)
        assert run(repository, *command, point=point).returncode == -signal.SIGKILL
        whole = not any(journal.pending(place) for place in _states(repository))
        if whole:
            assert state(repository) in (before, after), point
        is_done = whole and state(repository) == after
        again = run(repository, *command)
        assert again.returncode in ((0, 2, 3) if is_done else (0,)), (point, again.stderr)
        assert state(repository) == after, point
        lint(repository)
        assert export(repository, base, checkout(repository)).changed == (), point
        assert not list(repository.state.glob("*")), point


def _states(store: Store) -> tuple[Path, Path]:
    return store.state, checkout(store) / ".git/ltx2-patcher"


def test_what_was_cut_off_is_told_to_readers_and_finished_first(
    repository: Store, base: Base, tmp_path: Path
) -> None:
    command = edited(repository, "export")
    start = tmp_path / "start"
    shutil.copytree(repository.root, start, symlinks=True)
    total = int(run(repository, *command).stdout.rsplit("events: ", 1)[1])
    told = 0
    for point in range(total, 0, -1):
        shutil.rmtree(repository.root)
        shutil.copytree(start, repository.root, symlinks=True)
        run(repository, *command, point=point)
        if not journal.pending(repository.state):
            continue
        seen = run(repository, "status", "--json")
        if seen.returncode:
            failed = json.loads(seen.stdout.splitlines()[0])
            assert "cut off" in failed["error"] and "export" in failed["remedy"]
            told += 1
        if told == 2:
            break
    assert told == 2
    with pytest.raises(ConflictError, match="cut off"):
        export(repository, base, checkout(repository), dry_run=True)
    append(repository.patches / "overlay.lock.json", " ")
    with pytest.raises(ConflictError, match="were edited") as caught:
        export(repository, base, checkout(repository))
    assert "git checkout -- patches" in caught.value.remedy


def test_two_at_once_do_both(repository: Store, base: Base) -> None:
    append(checkout(repository) / TYPES, "NAMED = True\n")
    (repository.vendor / "message").write_text(MESSAGE)
    new = ["new", "name_the_types", "--message", str(repository.vendor / "message")]
    commands = [new, ["drop", HELP], ["export", "--dry-run"], ["lint"]]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "ltx2_patcher", *command],
            cwd=repository.root,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdout=-1,
            stderr=-1,
            text=True,
        )
        for command in commands
    ]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running[:2]] == [0, 0], said
    assert "Traceback" not in str(said)
    names = tuple(repository.lock(BASE).patches)
    assert "name_the_types.patch" in names and HELP not in names
    lint(repository)
    assert export(repository, base, checkout(repository)).changed == ()


@pytest.mark.parametrize("place", ["patches", "patches/overlay"])
def test_a_folder_that_can_not_be_written_stops_it_before_anything(
    repository: Store, base: Base, place: str, tmp_path: Path
) -> None:
    edited(repository, "export")
    before = files(repository.root)
    linked = repository.root / place
    if os.geteuid() == 0:  # root may write anywhere, but never through a link on the way
        linked.rename(tmp_path / "elsewhere")
        linked.symlink_to(tmp_path / "elsewhere")
        with pytest.raises((ConflictError, InvalidError), match="is a link|can't be laid in"):
            export(repository, base, checkout(repository))
        linked.unlink()
        (tmp_path / "elsewhere").rename(linked)
    else:
        linked.chmod(0o555)
        with pytest.raises(OutsideError, match="no permission"):
            export(repository, base, checkout(repository))
        linked.chmod(0o755)
    assert files(repository.root) == before

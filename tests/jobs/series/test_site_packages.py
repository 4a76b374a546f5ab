"""The series on packages as pip installed them."""

from __future__ import annotations

import importlib.metadata
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.interpreter import DISTRIBUTIONS
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.site_packages import (
    apply_installed,
    installed_base,
    installed_status,
    unapply_installed,
)
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.series import Standing
from tests.conftest import BASE, ROOT, Environment, Run, files
from tests.small_wheels import make_environment as add_packages


def test_apply_and_unapply_restore_every_byte(
    store: Store, base: Base, environment: Environment
) -> None:
    before = files(environment.site)
    inodes = {path: (environment.site / path).stat().st_ino for path in before}
    done = apply_installed(store, base, environment.python)
    lock = store.lock(BASE)
    assert done.action == "applied"
    status = installed_status(store, environment.python, None)
    assert (status.judgement.standing, status.judgement.group) == (
        Standing.PATCHED,
        lock.groups[-1],
    )
    # Replaced by rename: what shared the old file (an installer's cache) keeps upstream's bytes.
    touched = [path.split("/src/")[1] for path in lock.before]
    assert all((environment.site / p).stat().st_ino != inodes[p] for p in touched)
    _assert_record_holds(environment)
    assert apply_installed(store, base, environment.python).action == "nothing to do"
    assert unapply_installed(store, base, environment.python).action == "removed"
    assert files(environment.site) == before
    assert unapply_installed(store, base, environment.python).action == "nothing to do"


def _assert_record_holds(environment: Environment) -> None:
    """Every line of both RECORDs is true, and every file of the packages stands in one."""
    import base64
    import hashlib

    listed = set()
    for name in ("ltx_core", "ltx_pipelines"):
        found = importlib.metadata.Distribution.at(environment.site / f"{name}-1.0.0.dist-info")
        for file in found.files or ():
            listed.add(str(file))
            if file.hash is not None:
                data = (environment.site / str(file)).read_bytes()
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
                assert file.hash.value == digest.decode() and file.size == len(data)
    packages = {
        str(path.relative_to(environment.site))
        for name in ("ltx_core", "ltx_pipelines")
        for path in (environment.site / name).rglob("*.py")
    }
    assert packages <= listed


def test_each_group_can_be_the_last(store: Store, base: Base, environment: Environment) -> None:
    before = files(environment.site)
    lock = store.lock(BASE)
    for group in (*lock.groups, *reversed(lock.groups)):
        assert apply_installed(store, base, environment.python, upto=group).group == group
        _assert_record_holds(environment)
    unapply_installed(store, base, environment.python)
    assert files(environment.site) == before


def test_a_file_that_is_not_the_bases_stops_it(
    store: Store, base: Base, environment: Environment
) -> None:
    edited = environment.site / "ltx_pipelines/utils/args.py"
    edited.write_text(edited.read_text() + "# mine\n")
    before = files(environment.site)
    with pytest.raises(ConflictError, match=r"utils/args\.py"):
        apply_installed(store, base, environment.python)
    assert files(environment.site) == before


def test_hard_links_into_a_cache_are_not_written_through(
    store: Store, base: Base, environment: Environment, tmp_path: Path
) -> None:
    cached = tmp_path / "cached.py"
    os.link(environment.site / "ltx_pipelines/distilled.py", cached)
    old = cached.read_bytes()
    apply_installed(store, base, environment.python)
    assert cached.read_bytes() == old
    assert (environment.site / "ltx_pipelines/distilled.py").read_bytes() != old


def test_a_dry_run_changes_nothing(store: Store, base: Base, environment: Environment) -> None:
    before = files(environment.site)
    assert apply_installed(store, base, environment.python, dry_run=True).action == "applied"
    assert files(environment.site) == before


def test_an_editable_install_is_sent_to_its_checkout(
    store: Store, base: Base, environment: Environment
) -> None:
    direct = environment.site / "ltx_core-1.0.0.dist-info/direct_url.json"
    url = "file:///somewhere/LTX-2/packages/ltx-core"
    direct.write_text(f'{{"url": "{url}", "dir_info": {{"editable": true}}}}')
    with pytest.raises(ConflictError, match="editable") as caught:
        apply_installed(store, base, environment.python)
    assert "--tree /somewhere/LTX-2" in caught.value.remedy


def test_what_is_no_interpreter_or_lacks_upstream_is_refused(
    store: Store, base: Base, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="has no ltx-core"):
        apply_installed(store, base, Path(sys.executable))
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho no\n")
    other.chmod(0o755)
    with pytest.raises(UsageError, match="is not a Python"):
        apply_installed(store, base, other)


def test_a_relative_interpreter_counts_from_here(
    store: Store, base: Base, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment.python.parents[2])
    assert apply_installed(store, base, Path("env/bin/python"), dry_run=True).action == "applied"


@pytest.mark.parametrize("kind", ["folder", "text", "executable text", "below a file", "absent"])
def test_what_can_not_be_started_is_one_sentence(
    store: Store, base: Base, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "python"
    if kind == "folder":
        place.mkdir()
    elif kind != "absent":
        place.write_text("no program\n")
    if kind == "executable text":
        place.chmod(0o755)
    if kind == "below a file":
        place = place / "python"
    with pytest.raises(UsageError, match="is not a Python"):
        apply_installed(store, base, place)


def test_a_compiled_form_that_is_never_checked_does_not_outlive_its_source(
    store: Store, base: Base, environment: Environment
) -> None:
    """Python would go on running upstream's args.py."""
    source = environment.site / "ltx_pipelines/utils/args.py"
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    (compiled,) = (source.parent / "__pycache__").glob("args.*.pyc")
    apply_installed(store, base, environment.python)
    assert not compiled.exists()


def test_two_processes_at_once_do_it_once(environment: Environment, tmp_path: Path) -> None:
    """Whatever their temporary folders are."""
    command = [sys.executable, "-m", "ltx2_patcher", "apply", "--site-packages"]
    runs = [
        subprocess.Popen(
            [*command, str(environment.python)],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path)} if n else None,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted("nothing to do" in text for text in said) == [False, True]
    assert not list(environment.site.glob(".ltx2*"))


def test_new_files_are_as_readable_as_their_folder(
    store: Store, base: Base, environment: Environment
) -> None:
    old = os.umask(0o077)
    try:
        apply_installed(store, base, environment.python)
    finally:
        os.umask(old)
    overlay = environment.site / "ltx_core/text_encoders/gemma/quantized"
    assert overlay.stat().st_mode & 0o777 == overlay.parent.stat().st_mode & 0o777
    assert (overlay / "plan.py").stat().st_mode & 0o044


@pytest.mark.history
def test_the_base_is_told_by_what_is_installed(
    store: Store, environment: Environment, history: Objects, patcher: Run
) -> None:
    """No remedy of another base's reaches an environment that a client pinned."""
    newest = store.base("1.2.0")
    entries = history.entries(newest.commit, [f"packages/{name}/src" for name in DISTRIBUTIONS])
    contents = history.contents(entry.blob for entry in entries.values())
    for package in ("ltx_core", "ltx_pipelines"):
        shutil.rmtree(environment.site / package)
    for path, entry in entries.items():
        file = environment.site / path.split("/src/")[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[entry.blob])

    def upstreams() -> dict[str, tuple[int, bytes]]:
        """Without RECORD, which is of what stood there before."""
        every = files(environment.site)
        return {path: file for path, file in every.items() if not path.endswith("RECORD")}

    before = upstreams()
    assert installed_base(store, environment.python) == newest
    assert apply_installed(store, None, environment.python).base == "1.2.0"
    assert installed_base(store, environment.python) == newest
    assert unapply_installed(store, None, environment.python).base == "1.2.0"
    assert upstreams() == before
    add_packages(environment.python.parents[1], {"torch": newest.environment["torch"]})
    joined = patcher("install", "--python", environment.python, "--dry-run")
    wanted = f"transformers=={newest.environment['transformers']}"
    assert wanted in joined.stdout, joined.stderr
    add_packages(environment.python.parents[1], {"transformers": "4.50.0"})
    examined = patcher("doctor", "--python", environment.python, "--json")
    assert "4.50.0; base 1.2.0 needs" in examined.stdout, examined.stderr
    lock = store.lock("1.2.0")
    (environment.site / next(iter(lock.before)).split("/src/")[1]).write_text("# mine\n")
    with pytest.raises(ConflictError, match=r"LTX-2 1\.2\.0 as published") as caught:
        apply_installed(store, None, environment.python)
    assert f"@{newest.commit}#subdirectory=packages/ltx-core" in caught.value.remedy


def test_an_environment_without_upstream_tells_no_base(store: Store) -> None:
    assert installed_base(store, Path(sys.executable)) is None

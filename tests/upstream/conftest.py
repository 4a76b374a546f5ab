"""Where the tests' upstream trees and file sets come from; each is made once a session.

These tests run once for each base, in its environment; LTX2_BASE names it.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from verify.pipelines import Pipelines
from verify.synthetic.files import FileSet

BASE = os.environ["LTX2_BASE"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked for other bases."""
    marked = [(item, item.get_closest_marker("bases")) for item in items]
    others = [item for item, mark in marked if mark is not None and BASE not in mark.args]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(scope="session")
def upstream_tree() -> Path:
    """Upstream as it is."""
    return Path(os.environ["LTX2_UPSTREAM_TREE"])


@pytest.fixture(scope="session")
def patched_tree() -> Path:
    """Upstream with the whole series."""
    return Path(os.environ["LTX2_PATCHED_TREE"])


@pytest.fixture(scope="session")
def upstream(upstream_tree: Path) -> Iterator[Pipelines]:
    """The unpatched scripts, with what they lack without CUDA lent from outside."""
    with Pipelines(upstream_tree, helped=True) as pipelines:
        yield pipelines


@pytest.fixture(scope="session")
def patched(patched_tree: Path) -> Iterator[Pipelines]:
    """The patched scripts, on their own."""
    with Pipelines(patched_tree) as pipelines:
        yield pipelines


@pytest.fixture(scope="session")
def fileset(
    upstream: Pipelines, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], FileSet]:
    """The tiny file set of a variant."""

    @cache
    def made(variant: str) -> FileSet:
        out = tmp_path_factory.mktemp("filesets") / variant
        done = upstream.run("verify.synthetic.__main__", [str(out), "--variant", variant])
        assert done.code == 0, done.err
        return FileSet(out)

    return made

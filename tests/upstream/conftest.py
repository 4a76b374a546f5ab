"""Where the tests' upstream trees and file sets come from; each is made once a session.

These tests run once for each base, in its environment; LTX2_BASE names it.
"""

import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.cli.options import DEFAULT_BASE
from tests.trees import ROOT
from tests.upstream.forks import forked
from verify.synthetic.files import FileSet, Layout
from verify.upstream.process import Pipelines

BASE = os.environ["LTX2_BASE"]
DATE = Store(ROOT).base(BASE).date
"""The day of the upstream under test: what a test expects differs from some revision on."""
LONG = pytest.mark.slow if BASE == DEFAULT_BASE else pytest.mark.revisions()
"""Of what takes too long for `make test`: it runs of the default base what is not slow, of others
what is core."""
MAKER = "verify.synthetic.__main__"
"""What makes a file set, in the process of upstream's scripts."""


collect_ignore = [] if find_spec("ltx_core.weight_files") else ["int8", "weight_files"]
"""Where no group has them; what they stand on imports them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked for other revisions."""
    others = {
        item
        for item in items
        for mark in item.iter_markers("revisions")
        if not mark.kwargs.get("since", "") <= DATE < mark.kwargs.get("before", "9")
    }
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]


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
    with forked(patched_tree) as pipelines:
        yield pipelines


@pytest.fixture(scope="session")
def parked(patched_tree: Path) -> Iterator[Pipelines]:
    """A process of patched scripts that keeps its store from one test to the next."""
    with forked(patched_tree) as pipelines:
        yield pipelines


class FileSets(Protocol):
    """Makes the tiny file set of a variant; the Gemma is the variant's own where none is named."""

    def __call__(
        self, variant: str, layout: Layout = Layout.MONOLITH, gemma: str | None = None
    ) -> FileSet: ...


@pytest.fixture(scope="session")
def fileset(upstream: Pipelines, tmp_path_factory: pytest.TempPathFactory) -> FileSets:
    """Each file set once."""

    @cache
    def made(variant: str, layout: Layout, gemma: str | None) -> FileSet:
        out = tmp_path_factory.mktemp("filesets") / variant
        options = ["--variant", variant, "--layout", layout.value]
        options += ["--gemma", gemma] if gemma else []
        done = upstream.run(MAKER, [str(out), *options])
        assert done.code == 0, done.err
        return FileSet(out, layout)

    def given(variant: str, layout: Layout = Layout.MONOLITH, gemma: str | None = None) -> FileSet:
        return made(variant, layout, gemma)

    return given

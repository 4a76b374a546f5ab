"""Parked weights, on the bases that have them."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from verify.upstream.process import Pipelines

collect_ignore_glob = [] if find_spec("ltx_core.parked") else ["test_*.py"]

# Of the pipelines' tests: the same clips, each made once.
from tests.upstream.pipelines.conftest import gemma_root, image, patched_clip  # noqa: E402, F401


@pytest.fixture(scope="session")
def parked(patched_tree: Path) -> Iterator[Pipelines]:
    """A process of patched scripts that keeps its store from one test to the next."""
    with Pipelines(patched_tree) as pipelines:
        yield pipelines

"""A place to rebase in."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from tests.rebases import make_place


@pytest.fixture
def place(tmp_path: Path, history: Objects) -> Store:
    """The tool, the series of 1.0.0, and upstream's history, as a maintainer has them."""
    return make_place(tmp_path / "repository", history)

"""The weights that these tests record."""

import os
from pathlib import Path

import pytest

from tests.upstream.conftest import FileSets
from verify.clips.models import Models, of_files
from verify.synthetic.abilities import variants
from verify.upstream.tree import core_of

VARIANT = variants(core_of(Path(os.environ["LTX2_UPSTREAM_TREE"])))[-1].value


@pytest.fixture(scope="session")
def models(fileset: FileSets) -> Models:
    """A file set of the newest variant that this upstream loads."""
    return of_files(fileset(VARIANT))

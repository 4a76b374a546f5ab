"""Parked weights, on the bases that have them."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from verify.upstream.process import Pipelines

collect_ignore_glob = [] if find_spec("ltx_core.parked") else ["test_*.py"]

from tests.upstream.conftest import FileSets  # noqa: E402

# Of the pipelines' tests: the same clips, each made once.
from tests.upstream.pipelines.conftest import (  # noqa: E402
    Clips,
    GemmaRoots,
    clips_of,
    gemma_root,  # noqa: F401
    image,  # noqa: F401
    patched_clip,  # noqa: F401
)


@pytest.fixture(scope="session")
def unpacked_clip(
    patched: Pipelines,
    fileset: FileSets,
    gemma_root: GemmaRoots,  # noqa: F811
    image: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Clips:
    """The clip of a case without parked weights, by the kernels that those of 4 bits go through."""
    folder = tmp_path_factory.mktemp("unpacked")
    return clips_of(
        patched, fileset, gemma_root, image, folder, via="tests.upstream.parked.unpacked"
    )

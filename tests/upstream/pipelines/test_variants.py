"""A model's metadata tells upstream what it is; with other metadata it is taken for another."""

import os
from pathlib import Path
from typing import Any

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.models.inspect import inspect_checkpoint
from ltx2_patcher.rules.models.abilities import stated
from ltx2_patcher.rules.models.pairing import refusal_of
from ltx2_patcher.values.errors import InvalidError
from tests.upstream.conftest import BASE, FileSets
from tests.upstream.pipelines.cases import VARIANTS
from tests.upstream.pipelines.edited_files import edited_files

pytestmark = pytest.mark.revisions(since="2026-03-05")

STEPS_AND_BLOCK = {"2.0": (40, [29]), "2.3": (30, [28]), "2.5": (30, [28])}
STATED = {"2.0": "LTX-2", "2.3": "LTX-2.3", "2.5": "LTX-2.5"}


def _params(checkpoint: Path) -> Any:
    """What the scripts look up for a checkpoint; older upstreams have no such function."""
    from ltx_pipelines.utils.constants import detect_params

    return detect_params(str(checkpoint))


def _settings(checkpoint: Path) -> tuple[int, list[int]]:
    """The denoising steps and the block that guidance perturbs."""
    settings = _params(checkpoint)
    return settings.num_inference_steps, settings.video_guider_params.stg_blocks


@pytest.mark.revisions(since="2026-08-11")
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_compression_of_images_is_the_variants(variant: str, fileset: FileSets) -> None:
    crf = {"2.0": 33, "2.3": 33, "2.5": 18}[variant]
    assert _params(fileset(variant).checkpoint).default_image_crf == crf


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_told_by_its_metadata(variant: str, fileset: FileSets) -> None:
    checkpoint = fileset(variant).checkpoint
    assert _settings(checkpoint) == STEPS_AND_BLOCK[variant]
    found = inspect_checkpoint(checkpoint)
    assert found.stated == found.generation == STATED[variant]


def test_metadata_of_another_model_changes_what_upstream_does_and_is_refused(
    fileset: FileSets, store: Store, tmp_path: Path
) -> None:
    files = edited_files(fileset("2.3"), tmp_path / "files", version="2.0.0")
    assert _settings(files.checkpoint) == STEPS_AND_BLOCK["2.0"]
    found = inspect_checkpoint(files.checkpoint)
    error = refusal_of(
        found,
        stated(store.base(BASE)),
        tuple(map(stated, store.bases())),
        os.fspath(files.checkpoint),
    )
    assert isinstance(error, InvalidError)
    assert "its metadata says that it is LTX-2," in str(error)

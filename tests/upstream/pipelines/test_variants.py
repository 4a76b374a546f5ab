"""A model's metadata tells upstream what it is; with other metadata it is taken for another."""

import os
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.inspect import inspect_checkpoint
from ltx2_patcher.rules.pairing import misfit_of
from ltx2_patcher.values.errors import InvalidError
from tests.upstream.conftest import BASE, FileSets
from tests.upstream.pipelines.cases import VARIANTS
from tests.upstream.pipelines.edited_files import edited_files
from verify.pipelines import Pipelines

pytestmark = pytest.mark.revisions(since="2026-03-05")

STEPS_AND_BLOCK = {"2.0": ("40", "29"), "2.3": ("30", "28"), "2.5": ("30", "28")}
STATED = {"2.0": "LTX-2", "2.3": "LTX-2.3", "2.5": "LTX-2.5"}


def _defaults(patched: Pipelines, checkpoint: Path) -> tuple[str, str]:
    """The denoising steps and the block that guidance perturbs, as the script's help tells them."""
    argv = ["--checkpoint-path", str(checkpoint), "--help"]
    shown = patched.run("ltx_pipelines.ti2vid_two_stages", argv)
    assert shown.code == 0, shown.err
    told = " ".join(shown.out.split())
    steps = told.split("increase generation time (default: ")[1].split(")")[0]
    block = told.split("Which transformer blocks to perturb for STG. Default: [")[1].split("]")[0]
    return steps, block


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_told_by_its_metadata(
    variant: str, patched: Pipelines, fileset: FileSets
) -> None:
    checkpoint = fileset(variant).checkpoint
    assert _defaults(patched, checkpoint) == STEPS_AND_BLOCK[variant]
    found = inspect_checkpoint(checkpoint)
    assert found.stated == found.generation == STATED[variant]


def test_metadata_of_another_model_changes_what_upstream_does_and_is_refused(
    patched: Pipelines, fileset: FileSets, store: Store, tmp_path: Path
) -> None:
    files = edited_files(fileset("2.3"), tmp_path / "files", version="2.0.0")
    assert _defaults(patched, files.checkpoint) == STEPS_AND_BLOCK["2.0"]
    found = inspect_checkpoint(files.checkpoint)
    error = misfit_of(found, store.base(BASE), store.bases(), os.fspath(files.checkpoint))
    assert isinstance(error, InvalidError)
    assert "its metadata says that it is LTX-2," in str(error)

"""The weights that are named are what their flags say, or that is told before anything loads."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import InvalidError, PatcherError, UsageError
from tests.upstream.conftest import FileSets
from verify.clips.cases import CASES
from verify.clips.models import Models, examine, of_files
from verify.synthetic.abilities import layouts, variants
from verify.upstream.command_line import CHECKPOINT, DISTILLED_CHECKPOINT, GEMMA, LORA, UPSAMPLER
from verify.upstream.tree import core_of

CORE = core_of(Path(os.environ["LTX2_UPSTREAM_TREE"]))
DISTILLED, _, TWO_STAGE, _, _ = CASES


def _with(models: Models, flag: str, path: Path) -> Models:
    return replace(models, paths={**models.paths, flag: path})


def test_a_set_of_every_layout_is_for_every_case(fileset: FileSets, patched_tree: Path) -> None:
    for layout in layouts(CORE):
        models = of_files(fileset(variants(CORE)[-1].value, layout))
        assert [models.lacking(case) for case in CASES] == [None] * len(CASES)
        assert examine(models, patched_tree) == "tiny"
        assert (LORA in models.of(TWO_STAGE), LORA in models.of(DISTILLED)) == (True, False)


def test_what_a_case_lacks_is_named(models: Models) -> None:
    def without(flag: str) -> Models:
        return replace(models, paths={k: v for k, v in models.paths.items() if k != flag})

    assert without(LORA).lacking(DISTILLED) is None
    assert without(LORA).lacking(TWO_STAGE) == LORA
    assert without(DISTILLED_CHECKPOINT).lacking(DISTILLED) == DISTILLED_CHECKPOINT
    assert without(DISTILLED_CHECKPOINT).lacking(TWO_STAGE) is None
    assert without(GEMMA).lacking(DISTILLED) == GEMMA


WRONG: dict[str, tuple[Callable[[Models, Path], Models], type[PatcherError], str]] = {
    "a missing file": (
        lambda models, tmp: _with(models, LORA, tmp / "nothing.safetensors"),
        UsageError,
        "--distilled-lora: there is no",
    ),
    "a LoRA for an upsampler": (
        lambda models, _: _with(models, UPSAMPLER, models.paths[LORA]),
        UsageError,
        "--spatial-upsampler-path: .* is a LoRA",
    ),
    "an upsampler for a checkpoint": (
        lambda models, _: _with(models, CHECKPOINT, models.paths[UPSAMPLER]),
        InvalidError,
        "is no LTX-2 checkpoint",
    ),
    "a folder for a checkpoint": (
        lambda models, tmp: _with(models, CHECKPOINT, tmp),
        UsageError,
        "is a folder",
    ),
    "an empty Gemma": (lambda models, tmp: _with(models, GEMMA, tmp), InvalidError, "holds no"),
    "no checkpoint": (
        lambda models, _: replace(models, paths={GEMMA: models.paths[GEMMA]}),
        UsageError,
        "no checkpoint was named",
    ),
    "no Gemma": (
        lambda models, _: replace(models, paths={CHECKPOINT: models.paths[CHECKPOINT]}),
        UsageError,
        "no Gemma was named",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_weights_are_told_in_a_sentence(
    wrong: str, models: Models, patched_tree: Path, tmp_path: Path
) -> None:
    make, kind, said = WRONG[wrong]
    with pytest.raises(kind, match=said) as caught:
        examine(make(models, tmp_path), patched_tree)
    assert caught.value.remedy


def test_a_checkpoint_that_is_cut_off_is_refused(
    models: Models, patched_tree: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(models.paths[CHECKPOINT].read_bytes()[:-1000])
    with pytest.raises(InvalidError, match=r"torn\.safetensors"):
        examine(_with(models, CHECKPOINT, torn), patched_tree)

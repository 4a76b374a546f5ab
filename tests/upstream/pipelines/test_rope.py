"""Rotary embeddings follow the checkpoint's metadata: their kind, and how their frequencies are
computed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.edited_files import edited_files, transformer_config
from tests.upstream.pipelines.recorded_runs import Run, record
from tests.upstream.stage_record.events import Rotated, of_kind
from verify.upstream.process import Pipelines

pytestmark = pytest.mark.revisions(since="2026-03-05")

THETA = 10_000.0


def frequencies(count: int, precision: str) -> torch.Tensor:
    """From a quarter turn to theta times that, evenly by ratio; kept in float32 either way."""
    if precision == "float64":
        powers = np.power(THETA, np.linspace(0, 1, count, dtype=np.float64)) * (np.pi / 2)
        return torch.tensor(powers, dtype=torch.float32)
    return THETA ** torch.linspace(0, 1, count, dtype=torch.float32) * (np.pi / 2)


def cosines(
    middles: torch.Tensor, ends: Sequence[int], like: Rotated, rope: str, precision: str
) -> torch.Tensor:
    """What an attention is to multiply by; `middles` is (batch, axis, token), `ends` how far
    each axis goes.

    Split ropes turn the first half of a head against its second, interleaved ones turn neighbors;
    what the axes leave over of the width is not turned.
    """
    width = _width(like)
    grid = frequencies(width // (2 * len(ends)), precision)
    fractions = middles / torch.tensor(ends).view(1, -1, 1)
    turns = (fractions * 2 - 1).transpose(1, 2)  # (batch, token, axis)
    angles = (grid.view(1, 1, -1, 1) * turns.unsqueeze(2)).flatten(2)
    cos = angles.cos()
    if rope == "interleaved":
        cos = cos.repeat_interleave(2, dim=-1)
    left = (width if rope == "interleaved" else width // 2) - cos.shape[-1]
    cos = torch.nn.functional.pad(cos, (left, 0), value=1.0)
    if rope == "split":
        cos = cos.reshape(*cos.shape[:-1], like.heads, -1).transpose(1, 2)
    return cos.to(like.cos.dtype)


def _width(rotated: Rotated) -> int:
    """Of all heads together, told by what is rotated."""
    split = rotated.cos.ndim == 4
    return rotated.cos.shape[1] * rotated.cos.shape[3] * 2 if split else rotated.cos.shape[-1]


# With the run of test_two_stages.py, split and float64 on LTX-2.3: each variant with each kind, and
# each kind with each precision.
@pytest.mark.parametrize(
    ("variant", "rope", "precision"),
    [
        ("2.0", "interleaved", "float64"),
        ("2.0", "split", "float32"),
        ("2.3", "interleaved", "float32"),
    ],
)
def test_rotations_follow_the_metadata(
    variant: str,
    rope: str,
    precision: str,
    patched: Pipelines,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    stated: dict[str, object] = {"rope_type": rope, "frequencies_precision": precision}
    files = edited_files(fileset(variant), tmp_path / "files", transformer=stated)
    options = ("--num-inference-steps", "1")
    done, events = record(patched, files, image, tmp_path / "run", *options, variant=variant)
    assert done.code == 0, done.err
    _check(Run(files, image, events), rope, precision)


def test_rotations_are_those_of_ltx_2_3_as_it_is_published(two_stages: Run) -> None:
    _check(two_stages, "split", "float64")


def _check(run: Run, rope: str, precision: str) -> None:
    rotated = of_kind(run.events, Rotated)
    assert {found.rope for found in rotated} == {rope}
    assert {found.stage for found in rotated} == {0, 1, 2}
    known = [
        (found, *places)
        for found in rotated
        if (places := _places(found, run, transformer_config(run.files.checkpoint)))
    ]
    assert {found.stage for found, *_ in known} == {0, 1, 2}
    for found, middles, ends in known:
        assert torch.equal(found.cos, cosines(middles, ends, found, rope, precision))
    other = {"float32": "float64", "float64": "float32"}[precision]
    assert any(  # else the two could not be told apart
        not torch.equal(found.cos, cosines(middles, ends, found, rope, other))
        for found, middles, ends in known
        if found.stage
    )


def _places(
    rotated: Rotated, run: Run, config: dict[str, Any]
) -> tuple[torch.Tensor, list[int]] | None:
    """The middles of what is rotated and how far each axis goes; None of sound."""
    if rotated.attention == "connector":
        count = rotated.cos.shape[-2]
        middles = torch.arange(count, dtype=torch.float32).view(1, 1, -1)
        return middles, config["connector_positional_embedding_max_pos"]
    if rotated.attention.endswith(".attn1"):
        positions = run.passes(rotated.stage)[0].positions
        return (positions[..., 0] + positions[..., 1]) / 2, config["positional_embedding_max_pos"]
    return None

"""Upstream as it is, helped from outside, makes whole clips of every file set."""

import os
from itertools import product
from pathlib import Path

import pytest

from tests.upstream.cases import SCRIPTS, Case, Mode, command_line
from tests.upstream.conftest import FileSets
from verify.clips.cases import TINY
from verify.clips.decoding import faults, read_clip
from verify.synthetic.abilities import layouts, variants
from verify.synthetic.files import Layout
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines
from verify.upstream.tree import core_of

CORE = core_of(Path(os.environ["LTX2_UPSTREAM_TREE"]))
VARIANTS = [variant.value for variant in variants(CORE)]
LAYOUTS = layouts(CORE)


@pytest.mark.parametrize(
    ("script", "variant"),
    [
        pytest.param(script, variant, marks=[] if variant == VARIANTS[-1] else pytest.mark.slow)
        for script, variant in product(SCRIPTS, VARIANTS)
    ],
)
def test_each_layout_gives_the_same_whole_clip(
    script: str, variant: str, upstream: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    """Codecs, frames, size and length are those asked for; picture and sound are not blank."""
    clips = []
    for layout in LAYOUTS:
        files, out = fileset(variant, layout), tmp_path / f"{layout.value}.mp4"
        case = Case(script, Mode.T2V, Gemma.PLAIN, variant, layout=layout)
        argv = command_line(case, files, files.text_encoder, None, out, tree=upstream.tree)
        done = upstream.run(case.module, argv)
        assert done.code == 0, done.err
        clip = read_clip(out)
        assert faults(clip, TINY) == []
        clips.append(out.read_bytes())
    assert len(set(clips)) == 1


@pytest.mark.parametrize("variant", VARIANTS[-1:])
@pytest.mark.revisions(since="2026-08-11")  # older ones know Gemma roots only
def test_a_packed_gemma_serves_a_monolith(
    variant: str, upstream: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    """In place of the root, with the same clip."""
    whole, split = fileset(variant), fileset(variant, Layout.SPLIT)
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, variant)
    clips = []
    for gemma in (whole.gemma_root, split.text_encoder):
        out = tmp_path / f"{gemma.stem}.mp4"
        done = upstream.run(
            case.module, command_line(case, whole, gemma, None, out, tree=upstream.tree)
        )
        assert done.code == 0, done.err
        clips.append(out.read_bytes())
    assert clips[0] == clips[1]

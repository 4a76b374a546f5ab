"""What a run without our flags does otherwise than upstream: docs/differences.md, whole scripts.

Whatever stands there that one part of a script shows is tested beside that part.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import DATE, FileSets
from tests.upstream.pipelines.cases import VARIANTS, WITH_GEMMA_3
from tests.upstream.pipelines.conftest import Clips, GemmaRoots
from verify.upstream.command_line import Gemma
from verify.upstream.process import Finished, Pipelines

CASE = Case("ti2vid_two_stages", Mode.T2V, Gemma.PLAIN, VARIANTS[0])
DISTILLED = Case("distilled", Mode.T2V, Gemma.PLAIN, WITH_GEMMA_3)


def run(
    pipelines: Pipelines, files: FileSets, root: Path, out: Path, *more: str, case: Case = CASE
) -> Finished:
    """The script of `case`, with another Gemma root or more arguments."""
    argv = command_line(case, files(case.variant), root, None, out, tree=pipelines.tree)
    return pipelines.run(case.module, [*argv, *more], timeout_s=300)


@pytest.mark.revisions(before="2026-08-11")
def test_upstream_drops_enhance_prompt(
    upstream: Pipelines, fileset: FileSets, upstream_clip: Clips, tmp_path: Path
) -> None:
    """The patched side: test_each_script_passes_enhance_prompt_on."""
    root, out = fileset(CASE.variant).gemma_root, tmp_path / "clip.mp4"
    done = run(upstream, fileset, root, out, "--enhance-prompt")
    assert done.code == 0, done.err
    assert out.read_bytes() == upstream_clip(CASE).read_bytes()


@pytest.mark.revisions(since="2026-01-29")
def test_a_root_that_states_another_quantization_is_refused(
    upstream: Pipelines,
    patched: Pipelines,
    fileset: FileSets,
    upstream_clip: Clips,
    tmp_path: Path,
) -> None:
    """Upstream passes over what config.json says and takes the weights as they lie there."""
    root, out = tmp_path / "gemma", tmp_path / "clip.mp4"
    shutil.copytree(fileset(CASE.variant).gemma_root, root)
    config = json.loads((root / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (root / "config.json").write_text(json.dumps(config))
    refused = run(patched, fileset, root, out)
    assert refused.code != 0
    assert "is quantized with gptq, which is not supported here" in refused.err
    assert not out.exists()
    done = run(upstream, fileset, root, out)
    assert done.code == 0, done.err
    assert out.read_bytes() == upstream_clip(CASE).read_bytes()


@pytest.mark.revisions(before="2026-08-11")
def test_upstream_takes_8_bit_weights_without_their_scales(
    upstream: Pipelines,
    gemma_root: GemmaRoots,
    fileset: FileSets,
    patched_clip: Clips,
    tmp_path: Path,
) -> None:
    """That the patched clip is right: test_a_prequantized_root_gives_the_clip_of_its_flag."""
    case, out = replace(DISTILLED, gemma=Gemma.PREQUANTIZED_8BIT), tmp_path / "clip.mp4"
    done = run(upstream, fileset, gemma_root(case.variant, case.gemma), out, case=case)
    assert done.code == 0, done.err
    # Until 2026-01-29 transformers loads Gemma, and reads config.json as the patched tree does.
    assert (out.read_bytes() == patched_clip(case).read_bytes()) is (DATE < "2026-01-29")


def test_gemma_alone_is_no_longer_short_for_gemma_root(
    upstream: Pipelines, patched: Pipelines, fileset: FileSets
) -> None:
    """argparse takes any beginning of an option that no other option has."""
    files = fileset(WITH_GEMMA_3)
    argv = ["--checkpoint-path", str(files.checkpoint), "--gemma", str(files.gemma_root)]
    argv += ["--seed", "no number"]
    taken, refused = (pipelines.run(CASE.module, argv) for pipelines in (upstream, patched))
    assert (taken.code, refused.code) == (2, 2)
    assert "argument --seed: invalid int value" in taken.err  # what comes after it is read
    assert "ambiguous option: --gemma could match" in refused.err

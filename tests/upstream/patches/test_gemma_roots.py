"""A program that brings text embeddings of its own names no Gemma root, and is answered alike."""

import json
from pathlib import Path

import pytest
import torch

from verify.upstream.process import Pipelines

from .conftest import save_checkpoint


@pytest.mark.core
def test_each_constructor_takes_no_root_as_upstreams_does(
    tiny_transformer: dict[str, torch.Tensor],
    upstream: Pipelines,
    patched: Pipelines,
    tmp_path: Path,
) -> None:
    checkpoint = save_checkpoint(tmp_path / "it.safetensors", tiny_transformer)

    def ends(pipelines: Pipelines) -> dict[str, str]:
        told = ["roots", str(checkpoint)]
        done = pipelines.run("tests.upstream.patches.constructed", told)
        assert done.code == 0, done.err
        found: dict[str, str] = json.loads(done.out)
        return found

    theirs, ours = ends(upstream), ends(patched)
    assert theirs
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.revisions(since="2026-05-28", before="2026-08-11")
def test_a_builder_of_ones_own_needs_no_root(
    tiny_transformer: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    from ltx_pipelines.utils.blocks import PromptEncoder

    checkpoint = save_checkpoint(tmp_path / "it.safetensors", tiny_transformer)
    own = object()
    encoder = PromptEncoder(
        str(checkpoint), None, torch.bfloat16, torch.device("cpu"), text_encoder_builder=own
    )
    assert encoder._text_encoder_builder is own


@pytest.mark.revisions(since="2026-03-30", before="2026-08-11")
def test_a_flag_without_a_root_is_refused() -> None:
    from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError
    from ltx_pipelines.utils.requested_gemma import GemmaRoot

    assert GemmaRoot(None) is None
    with pytest.raises(GemmaFlagsError, match="there is no Gemma root"):
        GemmaRoot(None, gemma_4bit=True)

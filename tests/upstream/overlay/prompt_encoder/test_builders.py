"""Which builder serves a quantized Gemma: a resident one where offloaded, never one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4

from tests.upstream.overlay.conftest import CPU
from tests.upstream.overlay.prompt_encoder.conftest import Roots, prompt_encoder
from verify.campaigns.gemma_reference import assert_equal, from_pretrained, settings_for

pytestmark = pytest.mark.revisions(since="2026-08-11")


@pytest.mark.parametrize("offload", ["cpu", "disk"])
@pytest.mark.parametrize("prequantized", [False, True])
def test_where_the_transformer_streams_a_quantized_gemma_is_resident(
    roots: Roots, tmp_path: Path, offload: str, prequantized: bool
) -> None:
    from ltx_pipelines.utils.types import OffloadMode

    root, source = roots("4")
    if prequantized:
        root = convert_root(root, tmp_path / "out", NF4, CPU).output
    flag = None if prequantized else NF4
    encoder = prompt_encoder(root, flag, offload_mode=OffloadMode(offload))
    with encoder._text_encoder_ctx() as held:
        assert type(held).__name__ == "LTXGemmaTextEncoder"
        assert_equal(held.model, from_pretrained(source, settings_for(NF4)))


def test_a_builder_of_ones_own_takes_no_flag(roots: Roots) -> None:
    root, _ = roots("4")
    own = prompt_encoder(root)._text_encoder_builder
    prompt_encoder(root, text_encoder_builder=own)
    with pytest.raises(GemmaFlagsError, match=r"--gemma-8bit cannot be taken here"):
        prompt_encoder(root, INT8, text_encoder_builder=own)

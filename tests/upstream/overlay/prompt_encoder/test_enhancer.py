"""What enhances prompts is quantized as what encodes them, and is the same where their root is."""

from __future__ import annotations

import pytest
from ltx_core.text_encoders.gemma.quantized.methods import NF4, Method

from tests.upstream.overlay.conftest import methods
from tests.upstream.overlay.prompt_encoder.conftest import (
    PROMPT,
    Roots,
    prompt_encoder,
    quantized_layers,
)
from verify.campaigns.gemma_reference import assert_equal, from_pretrained, settings_for

pytestmark = pytest.mark.revisions(since="2026-08-11")


@methods
def test_a_separate_enhancer_is_quantized_too(roots: Roots, method: Method) -> None:
    encode_root, _ = roots("4")
    root, source = roots("4 instruct")
    encoder = prompt_encoder(encode_root, method, prompt_enhancer_gemma_root=str(root))
    enhancer = encoder._build_enhancer_text_encoder()
    assert_equal(enhancer.model, from_pretrained(source, settings_for(method)))
    assert quantized_layers(encoder._build_text_encoder())
    written = enhancer.enhance_t2v(PROMPT, max_new_tokens=4)
    assert isinstance(written, str)


def test_an_enhancer_of_the_same_root_is_the_encoder(roots: Roots) -> None:
    root, _ = roots("3")
    encoder = prompt_encoder(root, NF4, prompt_enhancer_gemma_root=str(root))
    assert encoder._enhancer_text_encoder_builder is encoder._text_encoder_builder

"""Every kind of Gemma gives the bits that transformers gives, plain, quantized and converted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import Method

from tests.upstream.overlay.conftest import ASKED_FOR, CPU, methods
from tests.upstream.overlay.prompt_encoder.conftest import (
    Roots,
    kinds,
    prompt_encoder,
    quantized_layers,
)
from verify.campaigns.gemma_reference import TOKENS, assert_equal, from_pretrained, settings_for

pytestmark = pytest.mark.revisions(since="2026-08-11")


@kinds
@methods
def test_hidden_states_equal_transformers_and_generation_runs(
    roots: Roots, kind: str, method: Method
) -> None:
    root, source = roots(kind)
    theirs = from_pretrained(source, settings_for(method))
    ours = prompt_encoder(root, method)._build_text_encoder()
    assert_equal(ours.model, theirs)
    assert quantized_layers(ours)
    assert all(".language_model." in name for name in quantized_layers(ours))
    assert ours.model.lm_head.weight is ours.model.get_input_embeddings().weight
    kept = {p.dtype for p in ours.model.parameters() if p.is_floating_point()}
    assert kept == {torch.bfloat16}
    with torch.inference_mode():
        written = [
            model.generate(TOKENS, max_new_tokens=6, do_sample=False)
            for model in (ours.model, theirs)
        ]
    assert torch.equal(*written)


@kinds
def test_without_a_flag_upstreams_builder_is_as_it_was(roots: Roots, kind: str) -> None:
    root, source = roots(kind)
    plain = prompt_encoder(root)
    assert plain._streaming_text_encoder_builder is not None
    assert_equal(plain._build_text_encoder().model, from_pretrained(source))


@kinds
@methods
def test_a_converted_root_gives_the_same_bits_without_a_flag_or_with_its_own(
    roots: Roots, tmp_path: Path, kind: str, method: Method
) -> None:
    root, source = roots(kind)
    output = tmp_path / f"out{root.suffix}"
    done = convert_root(root, output, method, CPU)
    assert (done.output, output.is_file()) == (output, root.is_file())
    assert done.bytes_after < done.bytes_before
    theirs = from_pretrained(source, settings_for(method))
    for flag in (None, method):
        assert_equal(prompt_encoder(output, flag)._build_text_encoder().model, theirs)
    if output.is_dir():
        assert_equal(from_pretrained(output), theirs)
    other = next(other for other in ASKED_FOR if other != method)
    with pytest.raises(GemmaFlagsError, match=f"already quantized to {method.label}"):
        prompt_encoder(output, other)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@methods
def test_a_gemma_4_that_transformers_saved_quantized_loads(
    roots: Roots, tmp_path: Path, method: Method
) -> None:
    _, source = roots("4")
    theirs = from_pretrained(source, settings_for(method))
    theirs.save_pretrained(tmp_path)
    for file in source.iterdir():
        if file.name != "config.json" and not file.name.startswith("model"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert_equal(prompt_encoder(tmp_path)._build_text_encoder().model, theirs)

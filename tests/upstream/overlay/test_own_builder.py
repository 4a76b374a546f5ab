"""A quantized root through upstream's own builder, as programs with no word of ours use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import NF4, Method

from tests.upstream.conftest import DATE
from tests.upstream.overlay.conftest import CPU, methods
from verify.campaigns.gemma_reference import assert_equal, from_pretrained, settings_for

pytestmark = pytest.mark.revisions(since="2026-03-05")  # before, Gemma is no model of its own


def builder_of(root: Path) -> Any:
    """As ltx-trainer and clients write it down."""
    folder = next(root.rglob("model*.safetensors")).parent
    shards = tuple(str(path) for path in folder.rglob("*.safetensors"))
    if DATE < "2026-08-11":
        from ltx_core.text_encoders.gemma import (
            GEMMA_LLM_KEY_OPS,
            GEMMA_MODEL_OPS,
            GemmaTextEncoderConfigurator,
            module_ops_from_gemma_root,
        )
        from ltx_core.text_encoders.gemma.root_config import bound_to_root

        return SingleGPUModelBuilder(
            model_path=shards,
            # A tiny Gemma is no stock 12B, which upstream takes every root for.
            model_class_configurator=bound_to_root(GemmaTextEncoderConfigurator, str(root)),
            model_sd_ops=GEMMA_LLM_KEY_OPS,
            module_ops=(GEMMA_MODEL_OPS, *module_ops_from_gemma_root(str(root))),
        )
    from ltx_core.text_encoders.gemma.encoders.encoder_configurator import (
        GemmaTextEncoderConfigurator,
        get_gemma_ops,
    )

    sd_ops, module_ops = get_gemma_ops(str(root))
    return SingleGPUModelBuilder(
        model_path=shards,
        model_class_configurator=GemmaTextEncoderConfigurator.with_gemma_model_path(str(root)),
        model_sd_ops=sd_ops,
        module_ops=module_ops,
    )


@pytest.mark.core
@methods
def test_a_quantized_root_is_loaded_as_its_config_says(
    bf16_root: Path, tmp_path: Path, method: Method
) -> None:
    root = convert_root(bf16_root, tmp_path / "out", method, CPU).output
    built = builder_of(root).build(device=CPU, dtype=torch.bfloat16).eval()
    assert_equal(built.model, from_pretrained(bf16_root, settings_for(method)))


def test_any_other_root_is_built_as_ever(bf16_root: Path) -> None:
    built = builder_of(bf16_root).build(device=CPU, dtype=torch.bfloat16).eval()
    assert {p.dtype for p in built.model.parameters()} == {torch.bfloat16}


def test_another_dtype_than_the_quantized_one_is_not_forced(
    bf16_root: Path, tmp_path: Path
) -> None:
    """Casting would take the codes for numbers."""
    root = convert_root(bf16_root, tmp_path / "out", NF4, CPU).output
    built = builder_of(root).build(device=CPU, dtype=torch.float32).eval()
    assert_equal(built.model, from_pretrained(bf16_root, settings_for(NF4)))

"""Gemma through the patched upstream, against transformers' own loading of the same files."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import (
    BitsAndBytesUnavailable,
    GemmaFlagsError,
)
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method
from transformers import PreTrainedModel

from tests.upstream.conftest import DATE, LONG
from tests.upstream.gemma_files import random_model, rewrite_shards, write_root
from tests.upstream.overlay.conftest import (
    ASKED_FOR,
    FLAGS,
    SIZE,
    MakeEncoders,
    methods,
    tensors_of,
)
from verify.campaigns.gemma_encoder import TAKES_ROOTS
from verify.campaigns.gemma_reference import (
    LANGUAGE_MODEL_ONLY,
    TOKENS,
    assert_equal,
    from_pretrained,
    hidden_states,
    settings_for,
)


def bnb_layers(model: PreTrainedModel) -> set[str]:
    return {
        name
        for name, module in model.named_modules()
        if type(module).__module__.startswith("ltx_core")
    }


@pytest.mark.core
@methods
def test_hidden_states_equal_transformers_and_generation_runs(
    bf16_root: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    theirs = from_pretrained(bf16_root, settings_for(method))
    ours = make_encoders(bf16_root, **FLAGS[method]).text_encoder().model
    assert len(bnb_layers(ours)) == 7 * SIZE.layers
    assert all(".language_model.layers." in name for name in bnb_layers(ours))
    assert_equal(ours, theirs)
    embedding = ours.model.language_model.embed_tokens.weight
    assert ours.lm_head.weight is embedding
    assert {p.dtype for p in ours.parameters() if p.is_floating_point()} == {torch.bfloat16}
    with torch.inference_mode():
        written = [m.generate(TOKENS, max_new_tokens=6, do_sample=False) for m in (ours, theirs)]
    assert torch.equal(*written)


@methods
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shard_size", ["5GB", "200KB"])
def test_any_float_in_any_number_of_files_is_quantized(
    tmp_path: Path, make_encoders: MakeEncoders, method: Method, dtype: torch.dtype, shard_size: str
) -> None:
    root = write_root(tmp_path / "gemma", random_model(SIZE, dtype=dtype), shard_size=shard_size)
    ours = make_encoders(root, **FLAGS[method]).text_encoder().model
    assert_equal(ours, from_pretrained(root, settings_for(method)))


@methods
def test_both_key_layouts_give_the_same_model(
    bf16_root: Path, tmp_path: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    root = shutil.copytree(bf16_root, tmp_path / "newer")
    rewrite_shards(root, in_newer_layout(tensors_of(root)), shards=2)
    ours = make_encoders(root, **FLAGS[method]).text_encoder().model
    assert_equal(ours, from_pretrained(bf16_root, settings_for(method)))


def in_newer_layout(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        language = name.replace("language_model.model.", "model.language_model.")
        renamed[language if language != name else f"model.{name}"] = tensor
    return renamed


MIXED = [
    *LANGUAGE_MODEL_ONLY,
    "model.language_model.layers.1.mlp",
    "model.language_model.layers.0.self_attn.q_proj",
]
KINDS: dict[str, tuple[Method, dict[str, Any]]] = {
    "nf4": (NF4, {}),
    "nf4, vision tower too": (NF4, {"llm_int8_skip_modules": None}),
    "nf4, single quantization": (NF4, {"bnb_4bit_use_double_quant": False}),
    "fp4": (NF4, {"bnb_4bit_quant_type": "fp4"}),
    "fp4, single quantization": (
        NF4,
        {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False},
    ),
    "nf4, packed in bfloat16": (NF4, {"bnb_4bit_quant_storage": torch.bfloat16}),
    "nf4, some layers in bf16": (NF4, {"llm_int8_skip_modules": MIXED}),
    "int8": (INT8, {}),
    "int8, vision tower too": (INT8, {"llm_int8_skip_modules": None}),
    "int8, some layers in bf16": (INT8, {"llm_int8_skip_modules": MIXED}),
}


LAYOUTS = ("older, one file", "newer, sharded")
# Each kind in a short run, the layouts by turns.
SAVED = [
    pytest.param(kind, layout, marks=pytest.mark.core if (i + j) % 2 else LONG)
    for i, kind in enumerate(KINDS)
    for j, layout in enumerate(LAYOUTS)
]


@pytest.mark.parametrize(("kind", "layout"), SAVED)
def test_prequantized_roots_load_as_they_are_without_a_flag_or_with_theirs(
    bf16_root: Path, tmp_path: Path, make_encoders: MakeEncoders, kind: str, layout: str
) -> None:
    method, changes = KINDS[kind]
    root = shutil.copytree(bf16_root, tmp_path / "root")
    for file in root.glob("model*"):
        file.unlink()
    from_pretrained(bf16_root, settings_for(method, **changes)).save_pretrained(root)
    if layout == "newer, sharded":
        rewrite_shards(root, in_newer_layout(tensors_of(root)), shards=3)
    theirs = from_pretrained(root)
    for flags in ({}, FLAGS[method]):
        ours = make_encoders(root, **flags).text_encoder().model
        assert_equal(ours, theirs)
        assert bool([name for name in bnb_layers(ours) if "vision_tower" in name]) == (
            "vision" in kind
        )
        assert len(bnb_layers(ours)) < 7 * SIZE.layers or "some layers" not in kind
    other = next(other for other in ASKED_FOR if other != method)
    with pytest.raises(
        GemmaFlagsError, match=f"already quantized to {method.label}; leave the flag out"
    ):
        make_encoders(root, **FLAGS[other])


@methods
def test_a_quantized_lm_head_is_left_out_for_the_tied_one(
    bf16_root: Path, tmp_path: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    root = shutil.copytree(bf16_root, tmp_path / "root")
    for file in root.glob("model*"):
        file.unlink()
    from_pretrained(bf16_root, settings_for(method)).save_pretrained(root)
    tensors = tensors_of(root)
    layer = "language_model.model.layers.0.self_attn.o_proj."
    tensors |= {
        "lm_head." + n.removeprefix(layer): t.clone()
        for n, t in tensors.items()
        if n.startswith(layer)
    }
    rewrite_shards(root, tensors, shards=1)
    ours = make_encoders(root).text_encoder().model
    assert ours.lm_head.weight is ours.model.language_model.embed_tokens.weight
    assert type(ours.lm_head) is torch.nn.Linear


def test_similarity_to_bf16_against_another_prompt(
    bf16_root: Path, make_encoders: MakeEncoders
) -> None:
    prompts = [
        "a red fox runs over fresh snow at dawn",
        "two boats cross a quiet harbour in the rain",
    ]

    @torch.inference_mode()
    def last_states(flags: dict[str, bool], prompt: str) -> torch.Tensor:
        encoder = make_encoders(bf16_root, **flags).text_encoder()
        pairs = encoder.tokenizer.tokenize_with_weights(prompt)["gemma"]
        tokens, mask = (torch.tensor([column]) for column in zip(*pairs, strict=True))
        outputs = encoder.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        real: torch.Tensor = outputs.hidden_states[-1][mask.bool()].float()
        return real

    def similarity(one: torch.Tensor, other: torch.Tensor) -> float:
        count = min(len(one), len(other))
        return (
            torch.nn.functional.cosine_similarity(one[-count:], other[-count:], dim=-1)
            .mean()
            .item()
        )

    exact, control = (last_states({}, prompt) for prompt in prompts)
    assert similarity(exact, control) < 0.5
    assert similarity(exact, last_states(FLAGS[NF4], prompts[0])) > 0.95
    assert similarity(exact, last_states(FLAGS[INT8], prompts[0])) > 0.998


@methods
def test_a_registry_keeps_one_state_dict_a_method_and_serves_it_unchanged(
    bf16_root: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    """Before 1.0.0 a quantized Gemma never goes there, and on 2026-01-08 none at all."""
    registry = weights_registry()
    dense = hidden_states(make_encoders(bf16_root, registry=registry).text_encoder().model)
    theirs = from_pretrained(bf16_root, settings_for(method))
    for _ in range(2):
        ours = make_encoders(bf16_root, registry=registry, **FLAGS[method]).text_encoder().model
        assert_equal(ours, theirs)
        assert ours.lm_head.weight is ours.model.language_model.embed_tokens.weight
    again = hidden_states(make_encoders(bf16_root, registry=registry).text_encoder().model)
    assert all(torch.equal(*pair) for pair in zip(dense, again, strict=True))
    assert len(registry._state_dicts) == (1 if DATE < "2026-01-29" else 2)


def weights_registry() -> Any:
    """Upstream's registry that keeps weights, and no more."""
    from ltx_core.loader import registry

    if TAKES_ROOTS:
        return registry.StateDictRegistry()
    return registry.ModelRegistry(cache_weights=True, cache_models=False)


@methods
def test_a_model_that_is_let_go_is_freed(
    bf16_root: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    ledger = make_encoders(bf16_root, **FLAGS[method])
    for _ in range(2):
        encoder = ledger.text_encoder()
        hidden_states(encoder.model)
        weights = [weakref.ref(parameter) for parameter in encoder.parameters()]
        if not TAKES_ROOTS:  # the PromptEncoder keeps the meta model
            encoder.dispose()
        del encoder
        gc.collect()
        assert not any(weight() is not None for weight in weights)


@pytest.mark.revisions(before="2026-03-30")
@methods
def test_variants_of_a_ledger_keep_the_flags(
    bf16_root: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    ledger: Any = make_encoders(bf16_root, **FLAGS[method])
    variants = [ledger.with_loras(())]
    if hasattr(ledger, "with_additional_loras"):
        variants.append(ledger.with_additional_loras(()))
    for variant in variants:
        assert (variant.gemma_4bit, variant.gemma_8bit) == (ledger.gemma_4bit, ledger.gemma_8bit)
        loads = [each.gemma_quantization.model_sd_ops.name for each in (ledger, variant)]
        assert loads[0] == loads[1]
        assert loads[0].endswith(method.label)


def test_both_flags_are_refused(bf16_root: Path, make_encoders: MakeEncoders) -> None:
    with pytest.raises(GemmaFlagsError, match="--gemma-4bit and --gemma-8bit exclude each other"):
        make_encoders(bf16_root, gemma_4bit=True, gemma_8bit=True)


# --- bitsandbytes ---


@methods
def test_a_missing_bitsandbytes_is_told_at_once(
    bf16_root: Path, make_encoders: MakeEncoders, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BitsAndBytesUnavailable, match=r"cannot be imported .*; run: pip install"):
        make_encoders(bf16_root, **FLAGS[method])


@methods
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a device that bitsandbytes cannot use")
def test_a_device_without_a_working_backend_is_told_at_once(
    bf16_root: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    with pytest.raises(
        BitsAndBytesUnavailable, match=r"does not work on cuda .*; run: pip install"
    ):
        make_encoders(bf16_root, device=torch.device("cuda"), **FLAGS[method])


@methods
def test_kernels_that_compute_nonsense_are_found_out(
    bf16_root: Path, make_encoders: MakeEncoders, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    right = type(method).quantize

    def wrong(*arguments: Any) -> dict[str, torch.Tensor]:
        parts: dict[str, torch.Tensor] = right(*arguments)
        return {**parts, "weight": parts["weight"].flip(0)}

    monkeypatch.setattr(type(method), "quantize", wrong)
    with pytest.raises(BitsAndBytesUnavailable, match="multiplies wrongly on cpu"):
        make_encoders(bf16_root, **FLAGS[method])


def test_without_a_flag_bitsandbytes_is_never_touched(bf16_root: Path, checkpoint: Path) -> None:
    script = """
import sys, torch
from pathlib import Path
sys.modules["bitsandbytes"] = None
from verify.campaigns.gemma_encoder import text_encoders
model = text_encoders(*map(Path, sys.argv[1:])).text_encoder().model
assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
assert type(model.model.language_model.layers[0].mlp.up_proj) is torch.nn.Linear
assert not [name for name in sys.modules if name.endswith("bitsandbytes_layers")]
"""
    command = [sys.executable, "-c", script, str(bf16_root), str(checkpoint)]
    subprocess.run(command, env=dict(os.environ), check=True)

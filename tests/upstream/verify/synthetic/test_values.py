"""Sizes, weights and faults as values: no file is written, and upstream is not asked."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from verify.synthetic.architecture import (
    METADATA,
    TINY,
    GemmaFamily,
    Variant,
    checkpoint_metadata,
    gemma_config,
    replaced,
)
from verify.synthetic.completeness import Placed, faults
from verify.synthetic.tensorfile import Kind
from verify.synthetic.weights import PIECE, Drawn

TRUE_GEMMAS = {GemmaFamily.GEMMA_3: "gemma3_12b", GemmaFamily.GEMMA_4: "gemma4_12b"}


def test_a_tensor_that_one_component_leaves_and_another_takes_is_fine() -> None:
    """As the connectors' tensors, which upstream's transformer picks too."""
    transformer = Placed("transformer", frozenset(), frozenset({"f:a"}), frozenset({"f:b"}))
    processor = Placed("processor", frozenset(), frozenset({"f:b"}), frozenset())
    assert faults([transformer, processor], ["f:a", "f:b"]) == []
    assert faults([transformer], ["f:a", "f:b"]) == ["transformer: no place for f:b"]


@pytest.mark.parametrize("variant", Variant)
def test_a_size_that_replaces_nothing_is_the_true_model(variant: Variant) -> None:
    """And the tiny one has no field that the true one lacks."""
    true = json.loads((METADATA / f"{variant.value}.json").read_text("utf-8"))["checkpoint"]
    tiny = checkpoint_metadata(variant, TINY, variant.gemma)["config"]

    def fields(config: Any) -> Any:
        return {k: fields(v) for k, v in config.items()} if isinstance(config, dict) else None

    assert fields(tiny) == fields(true["config"])
    assert tiny["transformer"]["rope_type"] == true["config"]["transformer"]["rope_type"]
    assert replaced(true["config"], {}) == true["config"]


def test_each_replacement_counts_in_some_variant() -> None:
    """A misspelled field would be replaced nowhere, without a word."""
    true = [
        json.loads((METADATA / f"{v.value}.json").read_text("utf-8"))["checkpoint"]["config"]
        for v in Variant
    ]

    def unknown(replacements: Mapping[str, Any], configs: list[Any]) -> list[str]:
        found = []
        for key, new in replacements.items():
            having = [config[key] for config in configs if key in config]
            if not having:
                found.append(key)
            elif isinstance(new, Mapping):
                found += unknown(new, having)
        return found

    assert unknown(TINY.checkpoint, true) == []
    for family, size in TINY.gemma.items():
        config = json.loads((METADATA / f"{TRUE_GEMMAS[family]}.json").read_text("utf-8"))
        assert unknown(size.replacements, [config]) == []


@pytest.mark.parametrize("family", GemmaFamily)
def test_tiny_gemma_fits_bitsandbytes(family: GemmaFamily) -> None:
    """Its CPU kernels crash on Linears that do not take a multiple of 64 features."""
    text = gemma_config(TINY.gemma[family])["text_config"]
    taken = [text["hidden_size"], text["intermediate_size"]]
    taken += [
        text[key] * text["num_attention_heads"]
        for key in ("head_dim", "global_head_dim")
        if key in text
    ]
    assert not any(features % 64 for features in taken), taken


def weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The values of a tensor in float32."""
    return torch.cat([*Drawn(name, Kind(shape, torch.float32)).pieces(seed, "cpu")])


def test_weights_travel_between_machines() -> None:
    """Golden values: no function is used that rounds differently from one to another."""
    drawn = weight("a.weight", (64, 64), seed=0)
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest() == (
        "e45ec6755c6da499e057e87c8a8035c6cb3243319e7de1c73564017de09f10c0"
    )
    assert abs(float(drawn.std()) * 8 - 1) < 0.05
    assert not torch.equal(drawn, weight("a.weight", (64, 64), seed=1))
    assert not torch.equal(drawn, weight("b.weight", (64, 64), seed=0))


def test_a_large_tensor_comes_in_pieces() -> None:
    """None larger than PIECE, and none that repeats another."""
    pieces = [*Drawn("a.weight", Kind((2, PIECE // 2 + 8), torch.bfloat16)).pieces(0, "cpu")]
    assert [piece.numel() for piece in pieces] == [PIECE, 16]
    assert not torch.equal(pieces[0][:16], pieces[1])
    assert abs(float(pieces[0].float().std()) * (PIECE // 2 + 8) ** 0.5 - 1) < 0.01

"""Layers in integers compute what linear layers compute, but for their rounding."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ltx_core.int8.layers import Stored, group_for, is_of_a_block, linear_layers, quantized_layers
from ltx_core.int8.linear import Given, Int8Linear, shared_rows
from ltx_core.int8.policy import with_integer_products
from ltx_core.int8.weights import quantized
from ltx_core.model.transformer.attention import Attention
from ltx_core.model.transformer.feed_forward import FeedForward

WIDTH = 256


class Block(torch.nn.Module):
    """An attention and a feed-forward, named as in a transformer's block."""

    def __init__(self) -> None:
        super().__init__()
        self.attn1 = Attention(query_dim=WIDTH, heads=4, dim_head=WIDTH // 4)
        self.attn2 = Attention(query_dim=WIDTH, context_dim=WIDTH * 2, heads=4, dim_head=WIDTH // 4)
        self.audio_ff = FeedForward(WIDTH, dim_out=WIDTH)
        self.to_gate = torch.nn.Linear(WIDTH, WIDTH)


class Model(torch.nn.Module):
    def __init__(self, blocks: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.transformer_blocks = torch.nn.ModuleList(Block() for _ in range(blocks))
        self.proj_out = torch.nn.Linear(WIDTH, WIDTH)
        self.to(torch.bfloat16).requires_grad_(False)


def first_block(model: torch.nn.Module) -> Any:
    """Its modules are the model's, whatever stands in their place."""
    return model.get_submodule("transformer_blocks.0")


def names_of(model: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: layer.weight.shape for name, layer in linear_layers(model).items()}


def in_integers(model: Model, **how: bool) -> torch.nn.Module:
    """A copy with integers of its own weights."""
    layers = quantized_layers(names_of(model), **{"rotated": True, "keeps_ends": False, **how})
    weights = {name: model.get_submodule(name).weight for name in layers}
    made: torch.nn.Module = with_integer_products(copy.deepcopy(model), layers)
    for name, weight in weights.items():
        layer: Any = made.get_submodule(name)
        rows = quantized(weight, layers[name].group)
        layer.weight.data, layer.weight_scale.data = rows.codes, rows.scales
    return made


def test_which_layers_and_how() -> None:
    found = quantized_layers(names_of(Model(3)), rotated=True, keeps_ends=False)
    assert len(found) == 3 * (4 + 4 + 2)
    assert found["transformer_blocks.2.audio_ff.net.2"] == Stored(256)
    assert not any("to_gate" in name or "proj_out" in name for name in found)
    ends = quantized_layers(names_of(Model(3)), rotated=False, keeps_ends=True)
    assert {name.split(".")[1] for name in ends} == {"1"}
    assert set(ends.values()) == {Stored(None)}
    assert not quantized_layers({}, rotated=True, keeps_ends=True)


@pytest.mark.parametrize(
    ("channels", "group"), [(2048, 256), (16384, 256), (64, 64), (192, 64), (48, 16), (40, None)]
)
def test_groups(channels: int, group: int | None) -> None:
    assert group_for(channels) == group


def test_fp8_cast_takes_the_same_layers() -> None:
    from ltx_core.quantization import TRANSFORMER_LINEAR_DOWNCAST_MAP as DOWNCAST

    for name in names_of(Model()):
        value = torch.zeros(2, 2)
        ((_, cast),) = DOWNCAST.apply_to_key_value(f"{name}.weight", value)
        assert (cast.dtype is torch.float8_e4m3fn) == is_of_a_block(name)


@pytest.mark.parametrize("rotated", [True, False])
def test_a_block_computes_the_same_within_its_rounding(rotated: bool) -> None:
    model = Model()
    made = in_integers(model, rotated=rotated)
    x = torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    text = torch.randn(2, 5, WIDTH * 2, generator=torch.Generator().manual_seed(2)).to(
        torch.bfloat16
    )
    ways: tuple[Callable[[Any], torch.Tensor], ...] = (
        lambda block: block.attn1(x),
        lambda block: block.attn2(x, context=text),
        lambda block: block.attn1(x, all_perturbed=True),
        lambda block: block.audio_ff(x),
    )
    for compute in ways:
        meant = compute(first_block(model)).to(torch.float64)
        found = compute(first_block(made)).to(torch.float64)
        assert 0 < (found - meant).norm() / meant.norm() < 0.03


def test_rows_are_made_once_for_all_that_are_given_the_same() -> None:
    attention = first_block(in_integers(Model())).attn1
    x = torch.ones(1, 3, WIDTH, dtype=torch.bfloat16)
    rows, context_rows = shared_rows(attention, x, x)
    assert isinstance(rows, Given) and rows is context_rows
    other = torch.ones(1, 4, WIDTH, dtype=torch.bfloat16)
    rows, context_rows = shared_rows(attention, x, other)
    assert rows is x and isinstance(context_rows, Given)
    apart = tuple(layer(other) for layer in (attention.to_k, attention.to_v))
    together = tuple(layer(context_rows) for layer in (attention.to_k, attention.to_v))
    assert all(map(torch.equal, apart, together))


def test_rows_are_not_shared_by_layers_that_rotate_otherwise() -> None:
    attention = first_block(in_integers(Model())).attn1
    x = torch.ones(1, 3, WIDTH, dtype=torch.bfloat16)
    attention.to_q.group = None
    rows, context_rows = shared_rows(attention, x, x)
    assert rows is x and isinstance(context_rows, Given)
    attention.to_k.group = None
    assert shared_rows(attention, x, x) == (x, x)


def test_a_plain_attention_is_given_what_it_was_given() -> None:
    attention = first_block(Model()).attn1
    x = torch.ones(1, 3, WIDTH, dtype=torch.bfloat16)
    assert all(given is x for given in shared_rows(attention, x, x))


def test_a_layer_that_the_model_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="transformer_blocks.7.attn1.to_q"):
        with_integer_products(Model(), {"transformer_blocks.7.attn1.to_q": Stored(256)})


def test_blocks_compile_in_one_graph() -> None:
    made = first_block(in_integers(Model()))
    x = torch.randn(1, 9, WIDTH, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    torch.compiler.reset()
    for compute in (made.attn1, made.audio_ff):
        # It fails at a break.
        compiled: Any = torch.compile(compute, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), compute(x))
    assert isinstance(made.attn1.to_q, Int8Linear)

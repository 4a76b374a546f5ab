"""Encoders that share a registry give memory back, and each finds its own model there."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method

from tests.upstream.overlay.conftest import methods
from tests.upstream.overlay.prompt_encoder.conftest import Roots, prompt_encoder
from verify.campaigns.gemma_reference import (
    TOKENS,
    assert_equal,
    from_pretrained,
    hidden_states,
    settings_for,
)

pytestmark = pytest.mark.revisions(since="2026-08-11")


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """The collector passes over what was there before, a million objects of torch's imports."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def live_bytes() -> int:
    """Of every tensor that the collector knows, each storage once."""
    gc.collect()
    held = [
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), torch.Tensor) and not thing.is_meta
    ]
    storages = [tensor.untyped_storage() for tensor in held]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.core
@pytest.mark.parametrize("kind", ["3", "4", "4, packed"])
@pytest.mark.usefixtures("only_new_objects")
@methods
def test_ten_calls_of_two_encoders_on_one_registry_give_memory_back(
    roots: Roots, kind: str, method: Method
) -> None:
    """What a meta model keeps between calls is what upstream's own keeps: a few small buffers."""
    from ltx_core.loader.registry import ModelRegistry

    registry = ModelRegistry(cache_models=True, cache_weights=False)
    root, source = roots(kind)
    expected = hidden_states(from_pretrained(source, settings_for(method)))
    encoders = [prompt_encoder(root, method, registry=registry) for _ in range(2)]
    after: list[int] = []
    for number in range(10):
        with torch.inference_mode(), encoders[number % 2]._text_encoder_ctx() as encoder:
            states = hidden_states(encoder.model)
            assert all(torch.equal(*pair) for pair in zip(states, expected, strict=True))
            if number == 3:
                encoder.model.generate(TOKENS, max_new_tokens=2)
            during = live_bytes()
        del encoder, states
        after.append(live_bytes())
    assert len(registry._models) == 1
    assert during - after[-1] > 100_000
    assert max(after) - min(after) < 4096
    assert after[-1] <= after[0] + 64


def test_plain_and_quantized_encoders_share_a_registry_that_keeps_all(roots: Roots) -> None:
    from ltx_core.loader.registry import ModelRegistry

    registry = ModelRegistry(cache_models=True, cache_weights=True)
    root, source = roots("4")
    ways = [None, NF4, INT8]
    encoders = [prompt_encoder(root, way, registry=registry) for way in ways]
    expected = [from_pretrained(source, way and settings_for(way)) for way in ways]
    for _ in range(2):
        for encoder, theirs in zip(encoders, expected, strict=True):
            with encoder._text_encoder_ctx() as held:
                assert_equal(held.model, theirs)
    assert (len(registry._models), len(registry._state_dicts)) == (3, 3)

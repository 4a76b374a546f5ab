from __future__ import annotations

import weakref

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized.methods import INT8, METHODS, Method

CPU = torch.device("cpu")
OUT, IN = 96, 128


@pytest.fixture(params=METHODS, ids=str)
def method(request: pytest.FixtureRequest) -> Method:
    parameter: Method = request.param
    return parameter


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(shape[0])).bfloat16()


def parts_of(method: Method) -> dict[str, torch.Tensor]:
    return {**method.quantize(random(OUT, IN), CPU, CPU), "bias": random(OUT)}


def make(method: Method) -> torch.nn.Sequential:
    linear = torch.nn.Linear(IN, OUT, device="meta")
    return torch.nn.Sequential(method.layer(linear, method.packed((OUT, IN)))).eval()


@torch.inference_mode()
def run(model: torch.nn.Module) -> torch.Tensor:
    result: torch.Tensor = model(random(7, IN))
    return result


def load(model: torch.nn.Module, parts: dict[str, torch.Tensor]) -> None:
    result = model.load_state_dict({f"0.{name}": part for name, part in parts.items()}, assign=True)
    assert not result.missing_keys
    assert not result.unexpected_keys


def test_a_layer_computes_about_what_the_dense_one_does(method: Method) -> None:
    load(model := make(method), parts_of(method))
    dense = random(7, IN).float() @ random(OUT, IN).float().T + random(OUT).float()
    cosine = torch.nn.functional.cosine_similarity(
        run(model).float().flatten(), dense.flatten(), dim=0
    )
    assert cosine > (0.9995 if method == INT8 else 0.99)


def test_one_state_dict_fills_many_models_and_stays_as_it_was(method: Method) -> None:
    parts = parts_of(method)
    before = {name: part.clone() for name, part in parts.items()}
    outputs = []
    for _ in range(2):
        load(model := make(method), parts)
        outputs += [run(model), run(model)]
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    assert all(torch.equal(parts[name], before[name]) for name in parts)


def test_a_used_layer_takes_another_weight(method: Method) -> None:
    load(model := make(method), parts_of(method))
    run(model)
    doubled = {**method.quantize(random(OUT, IN) * 2, CPU, CPU), "bias": random(OUT)}
    load(model, doubled)
    load(fresh := make(method), doubled)
    assert torch.equal(run(model), run(fresh))


@pytest.mark.parametrize("used", [False, True])
def test_moving_a_layer_changes_nothing_it_computes(method: Method, used: bool) -> None:
    load(model := make(method), parts_of(method))
    expected = run(model)
    if not used:
        load(model, parts_of(method))
    assert torch.equal(run(model.to(CPU).to(torch.bfloat16)), expected)


def test_what_takes_the_parameter_takes_all_of_the_weight(method: Method) -> None:
    """A meta model kept for later holds nothing once empty parameters have taken their place."""
    parts = parts_of(method)
    load(model := make(method), parts)
    expected = run(model)
    layer = model[0]
    scales = "SCB" if method == INT8 else "quant_state"
    dropped = weakref.ref(getattr(layer.weight, scales))
    for name, parameter in list(layer.named_parameters()):
        empty = torch.empty_like(parameter, device="meta")
        setattr(layer, name, torch.nn.Parameter(empty, requires_grad=False))
    del parts
    assert dropped() is None
    load(model, parts_of(method))
    assert torch.equal(run(model), expected)


def test_an_unquantized_weight_is_refused(method: Method) -> None:
    with pytest.raises((ValueError, KeyError, RuntimeError)):
        make(method).load_state_dict(
            {"0.weight": random(OUT, IN), "0.bias": random(OUT)}, assign=True
        )


def test_a_layer_moved_to_the_meta_device_is_freed_and_loads_again(method: Method) -> None:
    """As upstream's gpu_model frees a model, in inference mode, from 2026-03-30 on."""
    load(model := make(method), parts_of(method))
    before = run(model)
    held = weakref.ref(model[0].weight)
    with torch.inference_mode():
        model.to("meta")
    assert held() is None
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    load(model, parts_of(method))
    assert torch.equal(run(model), before)

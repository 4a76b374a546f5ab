"""Products in 8 and 4 bits beside float64, on few rows and on a tiny transformer."""

import pytest
import torch

from verify.campaigns import int8_errors


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("kind", int8_errors.KINDS[3:5], ids=lambda kind: kind.name)
def test_rotated_int8_is_nearer_than_fp8_cast(kind: int8_errors.Kind, outliers: bool) -> None:
    torch.manual_seed(0)
    x = int8_errors.inputs(kind, 32, outliers=outliers, device=torch.device("cpu"))
    weight = (torch.randn(64, kind.into) * 0.03).to(torch.bfloat16)
    found = int8_errors.errors(x, weight, float(x.abs().max()))
    assert found["bf16"] < found["int8"] < 0.6 * found["fp8-cast"]
    assert found["fp8-cast"] < found["nf4"]
    if outliers:
        assert found["int8"] < 0.5 * found["int8, not rotated"]
    judged = [{"layer": kind.name, "inputs": "outliers" if outliers else "normal"}]
    assert int8_errors.failures([{**judged[0], "errors": found}]) == []
    worse = {**found, "int8": found["fp8-cast"]}
    assert int8_errors.failures([{**judged[0], "errors": worse}])


@torch.inference_mode()
def test_a_whole_transformer_runs_by_each_way() -> None:
    torch.manual_seed(0)
    made = int8_errors.whole("tiny", torch.device("cpu"))
    assert set(made["outputs"]) == set(int8_errors.WAYS) - {"bf16"}
    for part in ("video", "audio"):
        off = {name: by_part[part] for name, by_part in made["outputs"].items()}
        assert 0 < off["int8"] < off["fp8-cast"] < off["nf4"] < 1
    assert len(made["layers"]) == 28
    assert all(row["errors"]["int8"] < row["errors"]["fp8-cast"] for row in made["layers"])

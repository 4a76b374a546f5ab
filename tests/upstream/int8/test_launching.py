"""Without a card rows and products are those of plain torch, and Triton need not be there."""

import subprocess
import sys

import pytest
import torch
from ltx_core.int8 import launching
from ltx_core.int8.product import product
from ltx_core.int8.rows import quantize_rows

pytestmark = pytest.mark.core

CARD = torch.device("cuda:0")


def test_a_cpu_takes_the_reference() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 256), torch.randn(32, 256)
    rows, held = quantize_rows(x, group=256, gelu=True), quantize_rows(weight, group=256)
    made = launching.rows_of(x, 256, gelu=True)
    assert all(map(torch.equal, made, rows))
    out = launching.multiplied(made, held, None, torch.bfloat16)
    assert torch.equal(out, product(rows, held, None, torch.bfloat16))
    assert launching.why_not(torch.device("cpu")) is None


def test_triton_is_not_needed_there() -> None:
    program = (
        "import sys; sys.modules['triton'] = None; import torch; "
        "from ltx_core.int8 import launching; "
        "rows = launching.rows_of(torch.ones(2, 16), 16); "
        "print(launching.multiplied(rows, rows, None, torch.float32).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split()[0].startswith("[[1")


@pytest.mark.parametrize(
    ("capability", "answer"),
    [
        ((7, 5), "need compute capability 8.0, and a card has 7.5; use --quantization fp8-cast"),
        ((8, 6), None),
        ((9, 0), None),
    ],
)
def test_an_older_card_is_told_what_to_take(
    capability: tuple[int, int], answer: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", {CARD: capability}.get)
    monkeypatch.setattr(torch.cuda, "get_device_name", {CARD: "a card"}.get)
    said = launching.why_not(CARD)
    assert (said is None) == (answer is None)
    assert said is None or said.endswith(str(answer))


def test_without_triton_a_card_is_told_what_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_TRITON", False)
    assert "--quantization fp8-cast" in str(launching.why_not(CARD))

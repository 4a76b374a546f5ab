"""On a card the kernels are what plain torch is, for every width of the blocks."""

import pytest
import torch

from verify.campaigns import int8

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_the_kernels_are_right() -> None:
    assert int8.failures({int8.RIGHT: int8.right()}) == []


def test_a_feed_forward_holds_no_more_than_by_fp8_cast() -> None:
    assert int8.failures({int8.MEMORY: int8.memory()}) == []

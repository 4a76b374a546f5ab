"""A unit's tensors lie apart in its buffer, aligned, with the strides that they had."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.parked.layout import ALIGNMENT, Form, Layout

DTYPES = (torch.bfloat16, torch.float32, torch.uint8, torch.int8, torch.float8_e4m3fn)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Dense, with its dimensions in any order in memory, as channels-last weights have them."""
    shape = draw(st.lists(st.integers(1, 5), max_size=5))
    order = draw(st.permutations(range(len(shape))))
    values = torch.arange(1, 1 + torch.Size(shape).numel()).reshape([shape[at] for at in order])
    back = [order.index(at) for at in range(len(shape))]
    return values.to(draw(st.sampled_from(DTYPES))).permute(back)


@given(st.lists(tensors(), max_size=6))
def test_what_is_put_in_comes_out(held: list[torch.Tensor]) -> None:
    layout = Layout.of(map(Form.of, held))
    buffer = torch.zeros(layout.nbytes, dtype=torch.uint8)
    for view, tensor in zip(layout.views(buffer), held, strict=True):
        view.copy_(tensor)
    for view, tensor in zip(layout.views(buffer), held, strict=True):
        assert torch.equal(view.float(), tensor.float())
        assert Form.of(view) == Form.of(tensor)
        assert view.storage_offset() * view.element_size() % ALIGNMENT == 0


def test_nothing_takes_no_memory() -> None:
    layout = Layout.of([Form((0, 3), (3, 1), torch.float32)])
    assert layout.nbytes == 0
    (view,) = layout.views(torch.empty(0, dtype=torch.uint8))
    assert view.shape == (0, 3)

"""What a build loaded, without the values: with it a model is built once more where its weights lie in a copy."""

from collections.abc import Iterable

import torch

from ltx_core.loader.primitives import StateDict
from ltx_core.loader.registry import DummyRegistry
from ltx_core.loader.sd_ops import SDOps
from ltx_core.parked.layout import Form, Layout

_SMALL = 2048
"""Bytes. What is no larger keeps its values: some say how others are to be read, as quantization states do."""


class Recipe(DummyRegistry):
    """A registry for one build: takes down the state dict that the build loads, or hands one out that was taken down.

    The latter has the same names, forms and ties, and memory that nobody fills, or reads, in place of large tensors.
    """

    def __init__(self, taken: object = None) -> None:
        """`taken` is the `taken` of another, which may have been JSON meanwhile."""
        self.taken = taken

    @property
    def is_given(self) -> bool:
        """Whether the build reads and computes nothing."""
        return self.taken is not None

    def get(self, paths: list[str], sd_ops: SDOps | None) -> StateDict | None:  # noqa: ARG002
        if self.taken is None:
            return None
        tensors = [_made(stated) for stated in self.taken["tensors"]]
        sd = {name: tensors[number] for name, number in self.taken["names"].items()}
        return StateDict(sd, torch.device("cpu"), sum(map(_nbytes, tensors)), {tensor.dtype for tensor in tensors})

    def add(self, paths: list[str], sd_ops: SDOps | None, state_dict: StateDict) -> StateDict:  # noqa: ARG002
        numbers: dict[tuple[object, ...], int] = {}
        names, tensors = {}, []
        for name, tensor in state_dict.sd.items():
            key = (tensor.data_ptr(), Form.of(tensor))
            if key not in numbers or not tensor.nbytes:
                numbers[key] = len(tensors)
                tensors.append(_stated(tensor))
            names[name] = numbers[key]
        self.taken = {"names": names, "tensors": tensors}
        return state_dict


def _stated(tensor: torch.Tensor) -> list[object]:
    form = Form.of(tensor)
    if form.nbytes > _SMALL:
        return [*form.stated(), None]
    (view,) = Layout.of([form]).views(buffer := torch.zeros(form.nbytes, dtype=torch.uint8))
    view.copy_(tensor)
    return [*form.stated(), bytes(buffer.tolist()).hex()]


def _made(stated: Iterable[object]) -> torch.Tensor:
    *form, values = stated
    form = Form.of_stated(form)
    if values is None:
        buffer = torch.empty(form.nbytes, dtype=torch.uint8)
    else:
        buffer = torch.tensor(list(bytes.fromhex(values)), dtype=torch.uint8)
    return Layout.of([form]).views(buffer)[0]


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.nbytes

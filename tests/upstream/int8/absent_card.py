"""A card that is not here, as Triton's launches see it: compiled for, and never run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.tools.tensor_descriptor import TensorDescriptor


def _place(given: object) -> object:
    """Where a tensor lies; of a descriptor also what is read at a time."""
    if isinstance(given, TensorDescriptor):
        return given.base.data_ptr(), *given.shape, *given.strides, *given.block_shape
    return given.data_ptr() if isinstance(given, torch.Tensor) else given


class _Utilities:
    def load_binary(self, *_given: object) -> tuple[int, int, int, int, int]:
        return 1, 1, 0, 0, 1024  # module, function, registers, spills, threads of a block

    def get_device_properties(self, _device: int) -> dict[str, int]:
        return {"max_shared_mem": 227 << 10}


class AbsentCard:
    """Triton's driver of a Hopper card, which takes down what it is asked to launch."""

    def __init__(self) -> None:
        self._launches: list[tuple[Any, ...]] = []
        self.utils = _Utilities()

    def launches(self) -> list[tuple[Any, ...]]:
        """The grid and the arguments of each launch since it was asked, tensors by their place."""
        taken, self._launches = self._launches, []
        return [
            tuple(
                _place(one)
                # Behind the grid: stream, function, what Triton packs of it, hooks.
                for one in (*launch[:3], *launch[9:])
            )
            for launch in taken
        ]

    def launcher_cls(self, _source: object, _metadata: object) -> Any:
        """What Triton makes of a compiled kernel; its call is a launch."""
        return lambda *given: self._launches.append(given)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


CARD = AbsentCard()
"""One a process: what Triton compiled for a device stays with the driver it was compiled by."""


@contextmanager
def taking_launches() -> Iterator[AbsentCard]:
    """Within it, launches go to the card that is not here."""
    before = vars(driver)["_active"]
    driver.set_active(CARD)
    CARD.launches()
    try:
        yield CARD
    finally:
        driver.set_active(before)

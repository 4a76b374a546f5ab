"""A card that is not here, as Triton's launches see it: compiled for, and never run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import wrap_handle_tensordesc
from triton.runtime import driver


def _place(given: Any) -> object:
    """Where a tensor lies."""
    return given.data_ptr() if isinstance(given, torch.Tensor) else given


class _Utilities:
    def fill_tma_descriptor(self, place: int, *how: object) -> tuple[object, ...]:
        """What it is encoded from: the swizzle, bytes and type of an element, the block that is
        read, shape and strides of the whole, and what lies beyond an end.
        """
        return place, *map(_plain, how)

    def load_binary(self, *_given: object) -> tuple[int, int, int, int, int]:
        return 1, AbsentCard.FUNCTION, 0, 0, 1024  # module, function, registers, spills, threads

    def get_device_properties(self, _device: int) -> dict[str, int]:
        return {"max_shared_mem": 227 << 10}


def _plain(given: Any) -> object:
    return tuple(given) if isinstance(given, list) else given


class _Launcher:
    """What Triton makes of a compiled kernel, as CudaLauncher: its call is a launch."""

    launch_cooperative_grid = launch_pdl = False

    def __init__(
        self, source: Any, metadata: Any, launches: Callable[[tuple[Any, ...]], None]
    ) -> None:
        self.global_scratch_size = metadata.global_scratch_size
        self.profile_scratch_size = metadata.profile_scratch_size
        # In the place of the function that Triton compiles for each kernel: arguments as they lie.
        self.launch = wrap_handle_tensordesc(
            lambda *given: launches(given),
            dict(source.signature),
            getattr(metadata, "tensordesc_meta", None),
        )

    def __call__(self, x: int, y: int, z: int, stream: int, function: int, *given: object) -> None:
        scratch = (self.launch_cooperative_grid, self.launch_pdl, None, None)
        self.launch(x, y, z, stream, function, *scratch, *given)


class AbsentCard:
    """Triton's driver of a Hopper card, which takes down what it is asked to launch."""

    FUNCTION, STREAM = 7, 3

    def __init__(self) -> None:
        self._launches: list[tuple[Any, ...]] = []
        self.utils = _Utilities()

    def launches(self) -> list[tuple[Any, ...]]:
        """The grid and the arguments of each launch since it was asked, tensors by their place."""
        taken = [*self._launches]
        self._launches.clear()
        for launch in taken:
            # Behind the grid: stream, function, how it is launched, scratch, what Triton packs
            # of it, and hooks, of which Triton's own way passes some.
            assert launch[3:9] == (self.STREAM, self.FUNCTION, False, False, None, None)
            assert launch[9][0] in {1, 2, 4, 8, 16, 32}, "no warps are packed there"
        return [tuple(map(_place, (*launch[:3], *launch[13:]))) for launch in taken]

    def launcher_cls(self, source: object, metadata: object) -> _Launcher:
        """What Triton makes of a compiled kernel."""
        return _Launcher(source, metadata, self._launches.append)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return self.STREAM

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

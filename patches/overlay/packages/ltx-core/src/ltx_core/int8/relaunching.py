"""How a kernel that Triton compiled is launched again, for the second time and after.

Triton's own way to a compiled kernel looks at each argument, at hooks and at memory that no kernel here takes, and
encodes each descriptor anew. A clip has 20,000 launches, and a card that waits for the host computes nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import triton
from triton.runtime import driver

_DIRECT = triton.__version__.startswith("3.6.")
"""Whether what Triton compiled can be called as Triton 3.6 calls it (CudaLauncher in triton.backends.nvidia.driver)."""
_MOST = 1024  # launches remembered of a kernel: some a size of clip
_MOST_PLACES = 4096  # remembered of a launch: a transformer has 48 to 480 weights of a shape


class Launch(NamedTuple):
    """How a kernel is launched, but for its arguments."""

    grid: tuple[int, int, int]
    constants: dict[str, Any]  # of the kernel, in its order
    options: dict[str, int]  # how it is compiled


class Launched:
    """A kernel, and how it was launched before."""

    def __init__(self, kernel: Any) -> None:  # noqa: ANN401
        self._kernel = kernel
        self._known: dict[Hashable, Callable[..., None]] = {}

    def forget(self) -> None:
        """Launch everything anew."""
        self._known.clear()

    def known(self, key: Hashable) -> Callable[..., None] | None:
        """Return what launches it as before, if it was launched for such arguments.

        It takes the number of the card and the kernel's arguments but its constants, with addresses, multiples of 16,
        in the place of tensors and of descriptors.
        """
        return self._known.get(key)

    def anew(self, key: Hashable | None, launch: Launch, *given: Any) -> None:  # noqa: ANN401
        """Launch it, and remember how unless `key` is None."""
        compiled = self._kernel[launch.grid](*given, **launch.constants, **launch.options)
        if key is None or not _DIRECT or compiled is None:  # the interpreter compiles nothing
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        if (again := _again(compiled, launch.grid, tuple(launch.constants.values()), given)) is not None:
            self._known[key] = again


def _again(
    compiled: Any,  # noqa: ANN401
    grid: tuple[int, int, int],
    constants: tuple[Any, ...],
    given: tuple[Any, ...],
) -> Callable[..., None] | None:
    """Return what launches it once more, as Triton 3.6 does; None of a kernel that takes memory of its own."""
    run = compiled.run
    if run.global_scratch_size or run.profile_scratch_size:
        return None
    launch = run.launch
    # Between the stream and the arguments of a kernel: neither memory of its own nor hooks.
    behind = (compiled.function, run.launch_cooperative_grid, run.launch_pdl, None, None)
    behind += (compiled.packed_metadata, None, None, None)
    stream_of = driver.active.get_current_stream
    described = [one.shape for one in given if hasattr(one, "block_shape")]
    if not described:
        return lambda card, *places: launch(*grid, stream_of(card), *behind, *places, *constants)
    within = inspect.getclosurevars(launch).nonlocals  # of what encodes descriptors before it launches
    launch = within["launcher"]
    left, right = (_encoded(meta, *shape) for meta, shape in zip(within["tensordesc_meta"], described, strict=True))

    def launched(card: int | None, codes: int, scales: int, weight: int, *places: int | None) -> None:
        launch(*grid, stream_of(card), *behind, *left(codes), scales, *right(weight), *places, *constants)

    return launched


def _encoded(meta: Mapping[str, Any], rows: int, width: int) -> Callable[[int], tuple[Any, ...]]:
    """Return what gives the launcher's arguments for a matrix of bytes (rows, width) at an address."""
    from triton.backends.nvidia.driver import TMA_DTYPE_DEVICE_TO_HOST  # noqa: PLC0415 - Triton has it from 3.4 on

    kind = (meta["swizzle"], meta["elem_size"], TMA_DTYPE_DEVICE_TO_HOST[meta["elem_type"]], meta["block_size"])
    shape, strides = (rows, width), (width, 1)

    @functools.lru_cache(_MOST_PLACES)
    def at(place: int) -> tuple[Any, ...]:
        return driver.active.utils.fill_tma_descriptor(place, *kind, shape, strides, 0), *shape, *strides

    return at

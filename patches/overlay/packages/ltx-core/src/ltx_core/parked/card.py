"""The card that models compute on: buffers within a budget, and copies to them beside the arithmetic.

The one module that knows streams and events. On a CPU all of it happens at once, in the same order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

MARGIN = 256 * 1024**2
"""Bytes of the budget that are left for what a measured pass did not need and a later one may: fragments, cuBLAS."""

Event = torch.cuda.Event | None
"""A moment in a stream of the card; None on a CPU, where whatever was asked for has happened."""


class Card:
    """One device, and what may be reserved on it."""

    def __init__(self, device: torch.device, budget: int | None) -> None:
        self._cuda = device.type == "cuda"
        if self._cuda and device.index is None:  # 1.0.0 names none, and torch wants one to set a budget
            device = torch.device("cuda", torch.cuda.current_device())
        self.device = device
        self._held = 0  # on a CPU: what the buffers take
        self._copies = torch.cuda.Stream(device) if self._cuda else None
        self.budget = budget

    @property
    def budget(self) -> int | None:
        """Bytes that torch may reserve; None only on a CPU, where there is no end."""
        return self._budget

    @budget.setter
    def budget(self, nbytes: int | None) -> None:
        """Set it; None is what is free now, less a margin."""
        if self._cuda:
            free, total = torch.cuda.mem_get_info(self.device)
            if nbytes is None:
                nbytes = free + torch.cuda.memory_reserved(self.device) - MARGIN
            torch.cuda.set_per_process_memory_fraction(min(nbytes / total, 1.0), self.device)
        self._budget = nbytes

    def taken(self) -> int:
        """Bytes of the budget that are reserved now."""
        return torch.cuda.memory_reserved(self.device) if self._cuda else self._held

    def room(self, taken: int | None = None) -> int | None:
        """Bytes of the budget beside what is reserved, or `taken`, without a margin; None where there is no end."""
        if self._budget is None:
            return None
        margin = MARGIN if self._cuda else 0
        return max(self._budget - margin - (self.taken() if taken is None else taken), 0)

    def trim(self) -> None:
        """Give back what the allocator keeps for later, so that `room` counts what is in use."""
        if self._cuda:
            torch.cuda.empty_cache()

    def buffer(self, nbytes: int) -> torch.Tensor:
        """Return memory of the card (uint8, 1-D). Give it back with `let_go`."""
        with torch.inference_mode(False):  # others than this thread and mode may put it in their place
            buffer = torch.empty(nbytes, dtype=torch.uint8, device=self.device)
        self._held += nbytes
        return buffer

    def let_go(self, buffer: torch.Tensor) -> None:
        """`buffer` is used no more, but by copies and kernels that were queued before this."""
        self._held -= buffer.numel()
        if self._cuda:
            torch.cuda.current_stream(self.device).wait_stream(self._copies)

    def copy(self, copy_to: Callable[[torch.Tensor], None], buffer: torch.Tensor, after: Event) -> Event:
        """Let `copy_to` fill `buffer` beside the arithmetic, after an event; return the event of its end."""
        if not self._cuda:
            copy_to(buffer)
            return None
        if after is not None:
            self._copies.wait_event(after)
        with torch.cuda.stream(self._copies):
            copy_to(buffer)
            return self._copies.record_event()

    def reached(self) -> Event:
        """Return the moment at which all arithmetic that was queued until now is done."""
        return torch.cuda.current_stream(self.device).record_event() if self._cuda else None

    def wait(self, event: Event) -> None:
        """Let the arithmetic that is queued from now on wait for `event`."""
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Make tensors that may be put anywhere: those of inference mode can't be changed outside of it."""
    with torch.inference_mode(False), torch.no_grad():
        yield

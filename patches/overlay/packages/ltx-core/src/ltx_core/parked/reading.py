"""Weights on their way into host memory: in pieces, by threads of the process, beside what else it does.

What lies in a file as it is needed is read from the file: to copy it from where it is mapped costs a page fault each
64 KiB, and took 4 GB/s where reading takes 25 (16 threads of a Xeon, from the page cache).
"""

import ctypes
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

import torch

from ltx_core.parked.mapping import FileRanges, Stretch

_PIECE = 16 * 1024**2  # bytes
_THREADS = min(16, os.cpu_count() or 1)
ResultT = TypeVar("ResultT")


class _Readers:
    """Threads that do what they are given in its order. Whoever ends the process waits for none of them.

    A ThreadPoolExecutor would have it wait until all weights are read.
    """

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[tuple[Future, Callable[[], object]]] = queue.SimpleQueue()
        self._started = False

    def submit(self, task: Callable[[], ResultT]) -> "Future[ResultT]":
        """Let a thread call `task`, and return what will hold its result."""
        if not self._started:
            self._started = True
            for number in range(_THREADS):
                threading.Thread(target=self._work, name=f"weights-{number}", daemon=True).start()
        future: Future[ResultT] = Future()
        self._given.put((future, task))
        return future

    def _work(self) -> None:
        while True:
            future, task = self._given.get()
            try:
                future.set_result(task())
            except BaseException as error:  # whoever waits for it is told
                future.set_exception(error)
            del future, task  # else it holds the tensors until there is more to do


_readers = _Readers()


class Reading:
    """Tensors that are being copied; `finish` it before the copies are used."""

    def __init__(
        self,
        tensors: Sequence[torch.Tensor],
        copies: Sequence[torch.Tensor],
        files: FileRanges,
        then: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin to copy `tensors` to `copies`, which have their forms; `then` is called once all are there."""
        pieces = [
            _readers.submit(piece)
            for tensor, copy in zip(tensors, copies, strict=True)
            for piece in _pieces(tensor, copy, files)
        ]
        # A reader waits for what others have taken up before.
        self._whole = _readers.submit(partial(_end, pieces, then))

    @classmethod
    def over(cls, answer: bool) -> "Reading":
        """Return one that has ended, with what `then` would have returned."""
        reading = cls.__new__(cls)
        reading._whole = Future()
        reading._whole.set_result(answer)
        return reading

    @property
    def failed(self) -> bool:
        """Whether a file could not be read, known once it ends, which this waits for."""
        return self._whole.exception() is not None

    def finish(self) -> bool:
        """Wait until all is copied, and return what `then` returned. Raises: OSError for what can't be read."""
        return self._whole.result()


def _end(pieces: Sequence["Future[None]"], then: Callable[[], bool]) -> bool:
    wait(pieces)
    for piece in pieces:
        piece.result()
    return then()


def _pieces(tensor: torch.Tensor, copy: torch.Tensor, files: FileRanges) -> Iterator[Callable[[], None]]:
    if not tensor.is_contiguous():
        yield lambda: copy.copy_(tensor.detach())
        return
    stretch = files.stretch_of(tensor)
    for start in range(0, tensor.nbytes, _PIECE):
        length = min(_PIECE, tensor.nbytes - start)
        if stretch is None:
            yield partial(_copy, tensor, copy, start, length)
        else:
            yield partial(_read, stretch, copy, start, length)


def _copy(tensor: torch.Tensor, copy: torch.Tensor, start: int, length: int) -> None:
    ctypes.memmove(copy.data_ptr() + start, tensor.data_ptr() + start, length)  # by this thread alone, as torch's isn't


def _read(stretch: Stretch, copy: torch.Tensor, start: int, length: int) -> None:
    stretch.read(start, copy.data_ptr() + start, length)

"""What models made of small inputs, kept in host memory for whoever gives the same again."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from ltx_core.parked.card import plain_tensors

Output = tuple[torch.Tensor | None, ...]
"""One of upstream's NamedTuples."""


@dataclass(frozen=True)
class _Kept:
    """An output of a class, its tensors on the host, and the device that they were on."""

    kind: type[Output]
    tensors: tuple[torch.Tensor | None, ...]
    device: torch.device

    @classmethod
    def of(cls, output: Output) -> "_Kept":
        device = next(tensor.device for tensor in output if tensor is not None)
        return cls(type(output), _copied(output, torch.device("cpu")), device)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors if tensor is not None)

    def copy(self) -> Output:
        return self.kind(*_copied(self.tensors, self.device))


class KeptOutputs:
    """As many as `room` bytes hold, the last used. Copies go in and come out: nobody else has the tensors kept here."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: dict[Hashable, list[_Kept]] = {}  # the one that was not used for longest first

    def keep(self, key: Hashable, outputs: Sequence[Output]) -> None:
        """Keep `outputs` under `key`, and let go of others where they take too much together."""
        with plain_tensors():
            self._kept[key] = [_Kept.of(output) for output in outputs]
        while self._nbytes() > self._room:
            del self._kept[next(iter(self._kept))]

    def copies(self, key: Hashable) -> list[Output] | None:
        """Return what is kept under `key`, each on the device that it was made on; None where nothing is."""
        if key not in self._kept:
            return None
        self._kept[key] = self._kept.pop(key)
        return [output.copy() for output in self._kept[key]]

    def _nbytes(self) -> int:
        return sum(output.nbytes for outputs in self._kept.values() for output in outputs)


def _copied(tensors: Sequence[torch.Tensor | None], device: torch.device) -> tuple[torch.Tensor | None, ...]:
    return tuple(None if tensor is None else tensor.to(device, copy=True) for tensor in tensors)

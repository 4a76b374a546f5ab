"""Where a module holds its tensors, bitsandbytes' quantization states among them, so that others can be put there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

_STATE = ("absmax", "code", "offset")  # of bitsandbytes' QuantState; `state2` is one of the nested absmax
_INT8 = ("CB", "SCB")  # of its Int8Params: the weight once more, and its scales


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An attribute or an entry that holds a tensor."""

    owner: object
    name: str

    def read(self) -> torch.Tensor:
        return self.owner[self.name] if isinstance(self.owner, dict) else getattr(self.owner, self.name)

    def put(self, tensor: torch.Tensor) -> None:
        if isinstance(self.owner, dict):
            self.owner[self.name] = tensor
        else:
            setattr(self.owner, self.name, tensor)


def places_of(module: torch.nn.Module) -> Iterator[Place]:
    """Yield each place below `module` that holds a tensor; a tensor may have several."""
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            yield Place(parameter, "data")
            state = getattr(parameter, "quant_state", None)
            while state is not None:
                yield from _held(state, _STATE)
                state = state.state2
            yield from _held(parameter, _INT8)
        for name, buffer in part.named_buffers(recurse=False):
            if buffer is not None:
                yield Place(part._buffers, name)


def _held(owner: object, names: tuple[str, ...]) -> Iterator[Place]:
    for name in names:
        if isinstance(getattr(owner, name, None), torch.Tensor):
            yield Place(owner, name)

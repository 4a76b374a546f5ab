"""Which linear layers of a transformer compute with 8-bit integers, and how each is stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from ltx_core.int8.rotation import GROUP

_BLOCKS = "transformer_blocks."
_SUFFIXES = (".to_q", ".to_k", ".to_v", ".to_out.0", "ff.net.0.proj", "ff.net.2")
"""Those that upstream's fp8-cast takes; without a dot in front, where the audio's `audio_ff` is meant too."""

_COMPILED = "._orig_mod"  # what torch.compile puts into the names below a module


@dataclass(frozen=True)
class Stored:
    """How a layer's weight is kept."""

    group: int | None  # channels that are rotated together; None: not rotated


def is_of_a_block(name: str) -> bool:
    """Whether a layer is one of those that are quantized: of attention or feed-forward, and of a block."""
    return name.startswith(_BLOCKS) and name.endswith(_SUFFIXES)


def group_for(channels: int) -> int | None:
    """Return how many channels are rotated together in rows of so many; None where no group divides them.

    256 in every block of LTX-2; smaller models take a smaller power of 4.
    """
    return next((group for group in (GROUP, 64, 16) if channels % group == 0), None)


def block_of(name: str) -> int:
    """Return the number of the block that a layer is of."""
    return int(name.removeprefix(_BLOCKS).partition(".")[0])


def plain_name(name: str) -> str:
    """Return the name that a layer or a tensor has in the model before it is compiled."""
    return name.replace(_COMPILED, "")


def quantized_layers(shapes: Mapping[str, Iterable[int]], *, rotated: bool, keeps_ends: bool) -> dict[str, Stored]:
    """Return the layers to quantize, of linear layers whose weights have these shapes (N, K), by name.

    With `keeps_ends` the first block and the last stay as they are.
    """
    names = [name for name in shapes if is_of_a_block(name)]
    blocks = {block_of(name) for name in names}
    kept = {min(blocks), max(blocks)} if keeps_ends and blocks else set()
    return {
        name: Stored(group_for(tuple(shapes[name])[1]) if rotated else None)
        for name in names
        if block_of(name) not in kept
    }


def linear_layers(model: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    """Return the linear layers of a model by their names."""
    return {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}

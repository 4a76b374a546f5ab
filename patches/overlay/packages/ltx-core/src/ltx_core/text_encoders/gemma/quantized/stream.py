"""The tensors of a planned load, one at a time."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import safetensors
import torch

from ltx_core.text_encoders.gemma.quantized.pieces import cast_to
from ltx_core.text_encoders.gemma.quantized.plan import PlannedTensor, Treatment


def mapped(tensors: Iterable[PlannedTensor]) -> Iterator[tuple[PlannedTensor, torch.Tensor]]:
    """Each used tensor as its shard holds it.

    Shards are mapped, not read, and let go one after the other: what is kept of a tensor must be a copy.
    """
    used = (planned for planned in tensors if planned.treatment is not Treatment.UNUSED)
    for file, in_file in groupby(used, key=lambda planned: planned.stored.file):
        with safetensors.safe_open(file, framework="pt", device="cpu") as shard:
            for planned in in_file:
                yield planned, shard.get_tensor(planned.stored.name)


def loaded_parts(
    planned: PlannedTensor, stored: torch.Tensor, device: torch.device, compute_device: torch.device
) -> dict[str, torch.Tensor]:
    """What a stored tensor becomes on `device`, by name below its layer: copies, made a piece at a time.

    A weight to be quantized becomes the parts of its layer, any other tensor itself, under its own last name.
    """
    if planned.method is not None:
        return planned.method.quantize(stored, compute_device, device)
    dtype = torch.bfloat16 if planned.treatment is Treatment.KEEP else stored.dtype
    return {planned.last_name: cast_to(stored, dtype, device)}

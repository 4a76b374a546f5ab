"""The tensors of a planned load, one at a time."""

from collections.abc import Iterator
from itertools import groupby

import safetensors
import torch

from ltx_core.text_encoders.gemma.quantized.mode import Mode
from ltx_core.text_encoders.gemma.quantized.plan import Plan, PlannedTensor, Treatment

_MODES = {Treatment.NF4: Mode.NF4, Treatment.INT8: Mode.INT8}


def stream(
    plan: Plan, device: torch.device, compute_device: torch.device
) -> Iterator[tuple[PlannedTensor, dict[str, torch.Tensor]]]:
    """Each used tensor of the plan with what it becomes on `device`, by name below the tensor's layer.

    A quantized weight becomes the parts of its layer ("weight", "weight.absmax", ...), any other tensor itself, under
    its own last name. Shards are mapped, not read, and let go one after the other: host memory holds a piece of one
    tensor beside what the caller keeps.
    """
    used = (planned for planned in plan.tensors if planned.treatment is not Treatment.UNUSED)
    for file, in_file in groupby(used, key=lambda planned: planned.stored.file):
        with safetensors.safe_open(file, framework="pt", device="cpu") as shard:
            for planned in in_file:
                yield planned, _parts(planned, shard.get_tensor(planned.stored.name), device, compute_device)


def _parts(
    planned: PlannedTensor, tensor: torch.Tensor, device: torch.device, compute_device: torch.device
) -> dict[str, torch.Tensor]:
    from ltx_core.text_encoders.gemma.quantized.quantize import cast_to, quantized_parts  # noqa: PLC0415 - bitsandbytes

    if (mode := _MODES.get(planned.treatment)) is not None:
        return quantized_parts(tensor, mode, compute_device, device)
    dtype = torch.bfloat16 if planned.treatment is Treatment.KEEP else tensor.dtype
    return {planned.stored.name.rpartition(".")[2]: cast_to(tensor, dtype, device)}

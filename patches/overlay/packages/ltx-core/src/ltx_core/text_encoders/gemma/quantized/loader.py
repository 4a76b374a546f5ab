"""The state dict of a quantized Gemma, in the place of upstream's safetensors loader."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ltx_core.loader.primitives import StateDict, StateDictLoader
from ltx_core.loader.sd_ops import SDOps
from ltx_core.text_encoders.gemma.quantized.header import read_header
from ltx_core.text_encoders.gemma.quantized.methods import Method
from ltx_core.text_encoders.gemma.quantized.plan import make_plan
from ltx_core.text_encoders.gemma.quantized.stream import loaded_parts, mapped


@dataclass(frozen=True)
class QuantizingLoader(StateDictLoader):
    """Reads shards tensor by tensor, quantizing as it goes, into plain tensors in the serialized layout.

    Plain, because a registry may keep the state dict and fill several models from it: the layers make their own
    bitsandbytes parameters of it, which inference changes in place.
    """

    method: Method | None  # None: what is already quantized stays, nothing else becomes so
    compute_device: torch.device

    def metadata(self, path: str) -> dict:
        """The LTX config in the metadata, {} where there is none: a Gemma is told by its root, not by this."""
        return json.loads(read_header(Path(path)).metadata.get("config", "{}"))

    def load(self, path: str | list[str], sd_ops: SDOps | None = None, device: torch.device | None = None) -> StateDict:
        """The state dict on `device`: floats in bf16, quantized layers in their parts. Raises: GemmaRootError."""
        device = device or torch.device("cpu")
        paths: Sequence[str] = path if isinstance(path, list) else [path]
        stored = [tensor for file in paths for tensor in read_header(Path(file)).tensors]
        ops = sd_ops or SDOps("ALL").with_matching()
        sd: dict[str, torch.Tensor] = {}
        size = 0
        plan = make_plan(stored, self.method, ops.apply_to_key)
        for planned, tensor in mapped(plan.tensors):
            layer = planned.target.rpartition(".")[0]
            for name, part in loaded_parts(planned, tensor, device, self.compute_device).items():
                size += part.nbytes
                sd.update(ops.apply_to_key_value(f"{layer}.{name}", part))
        return StateDict(sd=sd, device=device, size=size, dtype={part.dtype for part in sd.values()})

"""Loads of one Gemma root side by side: what streaming takes, and what the usual ways take.

`watch` runs a load in a process of its own and measures it from outside, where the interpreter's
lock delays nothing; `python -m tests.upstream.gemma_loads WAY ROOT` is that process.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process_memory import mark, measure, peak_between

WAYS = ("streaming", "load-then-quantize", "from-pretrained")
"""Each with "-4bit" or "-8bit". A root that is quantized already loads as "prequantized", and
"trainer-8bit" is upstream's own 8-bit Gemma, ltx_trainer.gemma_8bit."""


@dataclass(frozen=True, slots=True)
class GemmaLoad:
    """One load; memory is anonymous and counts from just before it."""

    way: str
    peak_bytes: int
    model_bytes: int  # each storage once, scales included
    wall_s: float


def watch(way: str, root: Path, env: Mapping[str, str]) -> GemmaLoad:
    """Load in a child. Raises: OutsideError (it can't be started or is late)."""
    done = measure(
        [sys.executable, "-m", "tests.upstream.gemma_loads", way, str(root)], env=env, every_s=0.001
    )
    assert done.code == 0, done.err
    begin, end = (next(m.at for m in done.marks if m.name == name) for name in ("begin", "end"))
    peak = peak_between(done, "begin", "end")
    model_bytes = json.loads(done.out.splitlines()[-1])["model_bytes"]
    return GemmaLoad(way, peak.anon_rise_bytes, model_bytes, end.at_s - begin.at_s)


def stream(root: Path, **flags: bool) -> Any:
    """Through the patched upstream, on the CPU."""
    from verify.campaigns.gemma_encoder import text_encoders, write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder) / "checkpoint.safetensors", root)
        return text_encoders(root, checkpoint, **flags).text_encoder().model


def load_then_quantize(root: Path, bits: str) -> Any:
    """Without a streaming loader: the bf16 model whole, then each Linear in its turn."""
    import bitsandbytes as bnb
    import torch
    from transformers import Gemma3ForConditionalGeneration

    model: Any = Gemma3ForConditionalGeneration.from_pretrained(root, dtype=torch.bfloat16)
    for name, linear in list(model.model.language_model.named_modules()):
        if isinstance(linear, torch.nn.Linear):
            weight = linear.weight.data
            layer: Any
            if bits == "4bit":
                layer = bnb.nn.LinearNF4(
                    linear.in_features, linear.out_features, False, torch.bfloat16, device="meta"
                )
                layer.weight = bnb.nn.Params4bit(
                    weight, quant_type="nf4", compress_statistics=True, module=layer
                )
            else:
                layer = bnb.nn.Linear8bitLt(
                    linear.in_features,
                    linear.out_features,
                    False,
                    False,
                    threshold=6.0,
                    device="meta",
                )
                layer.weight = bnb.nn.Int8Params(weight, requires_grad=False)
            del weight
            parent, _, child = name.rpartition(".")
            setattr(model.model.language_model.get_submodule(parent), child, layer.to("cpu"))
    return model


def held_bytes(model: Any) -> int:
    """Of all tensors that the process keeps with the model, each storage once."""
    import torch

    assert next(model.parameters()).device.type == "cpu"
    tensors = [
        held
        for held in gc.get_objects()
        if issubclass(type(held), torch.Tensor) and not held.is_meta
    ]
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def load(way: str, root: Path) -> Any:
    """The model of `root`, loaded as `way` says."""
    if way == "prequantized":
        return stream(root)
    kind, _, bits = way.rpartition("-")
    if kind == "trainer":
        from ltx_trainer.gemma_8bit import load_8bit_gemma

        return load_8bit_gemma(root).model
    if kind == "streaming":
        return stream(root, **{f"gemma_{bits}": True})
    if kind == "load-then-quantize":
        return load_then_quantize(root, bits)
    from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4

    from verify.campaigns.gemma_reference import from_pretrained, settings_for

    return from_pretrained(root, settings_for({"4bit": NF4, "8bit": INT8}[bits]))


def _warm_up() -> None:
    """Bring in what every way imports, so that no way's first import counts as its memory."""
    import bitsandbytes  # noqa: F401
    import ltx_pipelines.distilled  # noqa: F401
    import transformers.models.gemma3  # noqa: F401

    import verify.campaigns.gemma_reference  # noqa: F401


def main(way: str, root: Path) -> None:
    """Load between two marks, and print what the model holds."""
    _warm_up()
    gc.collect()
    mark("begin")
    model = load(way, root)
    mark("end")
    gc.collect()
    print(json.dumps({"model_bytes": held_bytes(model)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

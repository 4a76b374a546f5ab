"""Small Gemmas as other programs keep them, and the values that each of their tensors stands for.

The names are those programs' own: llama.cpp's come from the map in its library `gguf`, with which
its converter makes such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from tests.upstream.gemma_files import GemmaSize
from tests.upstream.weight_files import ggml_values, made_layers

Values = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]
"""By the hub's names, float64."""

_LANGUAGE, _VISION = "language_model.model.", "vision_tower.vision_model."
_NO_TOKENS = 8
"""Rows of the embedding that llama.cpp leaves out, for no token of the tokenizer has them."""


@dataclass(frozen=True)
class Made:
    """The files, in the order in which a conversion is given them, and what they stand for."""

    files: tuple[Path, ...]
    values: Values


def values_of(tensors: Mapping[str, torch.Tensor]) -> Values:
    """The hub's tensors in float64, `lm_head` left out."""
    return {
        name: tensor.to(torch.float64).numpy()
        for name, tensor in tensors.items()
        if not name.endswith("lm_head.weight")
    }


def comfy_name(name: str) -> str:
    """As the files of Comfy-Org/ltx-2 have it."""
    return name.replace(_LANGUAGE, "model.").replace(_VISION, "vision_model.")


def write_comfy(path: Path, tensors: Mapping[str, torch.Tensor], kinds: tuple[str, ...]) -> Made:
    """ComfyUI's one file; linears of the language model are stored in these kinds, by turns."""
    stored = {"spiece_model": torch.arange(9, dtype=torch.uint8)}
    values = values_of(tensors)
    number = 0
    for name in values:
        if not (name.startswith(_LANGUAGE) and name.endswith("_proj.weight")):
            stored[comfy_name(name)] = tensors[name].to(torch.bfloat16)
            continue
        kind, number = kinds[number % len(kinds)], number + 1
        layer = comfy_name(name).removesuffix(".weight")
        rows, columns = tensors[name].shape
        if kind == "bf16":
            stored[f"{layer}.weight"] = tensors[name].to(torch.bfloat16)
            continue
        make = made_layers.fp8_scaled if kind == "fp8" else made_layers.nvfp4
        layer_made = make(rows, columns, number)
        stored.update(layer_made.named(layer))
        values[name] = layer_made.values
    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, path)
    return Made((path,), values)


def write_gguf(
    folder: Path, tensors: Mapping[str, torch.Tensor], size: GemmaSize, *, swapped: bool = False
) -> Made:
    """llama.cpp's two files: the language model in Q8_0 and Q4_0, the vision tower in F16.

    `swapped` names the vision tower's two matrices of a block as its converter did in 2025.
    """
    values = values_of(tensors)
    text, image = folder / "gemma-Q4_0.gguf", folder / "mmproj-F16.gguf"
    language = gguf.GGUFWriter(text, "gemma3")
    language.add_block_count(size.layers)
    language.add_token_list([f"<{number}>" for number in range(size.vocabulary - _NO_TOKENS)])
    vision = gguf.GGUFWriter(image, "clip")
    vision.add_string("clip.projector_type", "gemma3")
    maps = {
        language: gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, size.layers),
        vision: gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, size.vision["num_hidden_layers"]),
    }
    for number, (name, value) in enumerate(list(values.items())):
        writer = language if name.startswith(_LANGUAGE) else vision
        known = name.replace(_LANGUAGE, "model.").replace("_weight", ".weight")
        theirs = maps[writer].get_name(known, try_suffixes=(".weight", ".bias"))
        assert theirs is not None, name
        if swapped and ".ffn_" in theirs and writer is vision:
            theirs = theirs.replace("ffn_up", "ffn_x")
            theirs = theirs.replace("ffn_down", "ffn_up").replace("ffn_x", "ffn_down")
        if name.endswith("norm.weight") and not name.startswith(_VISION):
            shifted = (value + 1).astype(np.float32)
            values[name] = shifted.astype(np.float64) - 1
            writer.add_tensor(theirs, shifted)
        elif writer is language:
            rows = len(value) - (_NO_TOKENS if "embed_tokens" in name else 0)
            kind = "Q8_0" if number % 2 else "Q4_0"
            data, exact = ggml_values.made(kind, rows, value.shape[1], number)
            values[name] = np.concatenate((exact, np.zeros((len(value) - rows, value.shape[1]))))
            writer.add_tensor(theirs, data, raw_dtype=gguf.GGMLQuantizationType[kind])
        else:
            half = value.astype(np.float16 if value.ndim > 1 else np.float32)
            values[name] = half.astype(np.float64)
            writer.add_tensor(theirs, half)
    for writer in maps:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return Made((text, image), values)


def rounded(values: Values) -> dict[str, torch.Tensor]:
    """The values in bf16, which they go to over float32."""
    return {name: torch.from_numpy(value).to(torch.bfloat16) for name, value in values.items()}


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What transformers writes for a language model alone, of the config of a whole one."""
    return {**config["text_config"], "architectures": ["Gemma3ForCausalLM"]}

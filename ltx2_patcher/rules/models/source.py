"""What `convert` makes something of: weights in layouts of other programs, told by their names.

Layouts: ComfyUI's transformers have upstream's names, with `model.diffusion_model.` before them or
without, its Gemma is `model.layers.*` with `vision_model.*` (comfy/sd.py, `detect_te_model`), a
split model's other parts are files of their own; ComfyUI-GGUF keeps those names (its loader.py),
llama.cpp has its own for a language model and for the vision tower, which is a file apart
(gguf-py/gguf/constants.py, TENSOR_NAMES); diffusers renames what comes before the blocks
(scripts/convert_ltx2_to_diffusers.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ltx2_patcher.rules.models.comfy_marks import is_marker
from ltx2_patcher.rules.models.components import CHECKPOINT_PARTS, Shown, components
from ltx2_patcher.rules.models.gemma_architecture import size_of
from ltx2_patcher.rules.models.precision import comfy_name, precision_of
from ltx2_patcher.values.weights import Foreign, Header, Source, SourceKind, Tensor

TRANSFORMER = "model.diffusion_model."
_BLOCKS = "transformer_blocks."
_AUDIO_INPUT = "audio_patchify_proj.weight"
"""LTX-2 alone makes sound; LTX-Video, which came before it, has the other names too."""
_DIFFUSERS_AUDIO_INPUT = "audio_proj_in.weight"
_GEMMA_LAYER = re.compile(
    r"((?:model\.)?(?:language_model\.)?(?:model\.)?layers\.)(\d+)\.self_attn\.q_norm\.weight"
)
"""Gemma 3 and 4; Gemma 2 has no norm there."""
_GEMMA_PARTS: Shown = (
    ("tokenizer", "spiece_model"),
    ("vision tower", "vision_model."),
    ("vision tower", "vision_tower."),
    ("vision tower", "model.vision_tower."),
    ("projector", "multi_modal_projector."),
    ("projector", "model.multi_modal_projector."),
    ("language model", "model."),
    ("language model", "language_model."),
    ("language model", "layers."),
    # llama.cpp's.
    ("vision tower", "v."),
    ("projector", "mm."),
    ("language model", "blk."),
    ("language model", "token_embd."),
    ("language model", "output"),
)
_PARTS: Shown = (
    ("text projection", "text_embedding_projection."),
    ("text connectors", "video_embeddings_connector."),
    ("text connectors", "audio_embeddings_connector."),
    ("text connectors", f"{TRANSFORMER}video_embeddings_connector."),
    ("text connectors", f"{TRANSFORMER}audio_embeddings_connector."),
    ("audio VAE", "audio_vae."),
    ("vocoder", "vocoder."),
    ("video VAE", "vae."),
    ("video VAE", "per_channel_statistics."),
)
"""What a split model's other files hold, where they do not say so in their metadata."""
_SCALED = ("weight_scale", "scale_weight")
_COMFY, _DIFFUSERS = "ComfyUI's names", "diffusers' names"
_NO_CONFIGURATION = "upstream's layout without its configuration"


def variant_of(names: Iterable[str]) -> str:
    """Which LTX-2 a transformer with these names is, whether or not they begin as upstream's."""
    known = {name.removeprefix(TRANSFORMER) for name in names}
    # 2.5 alone has the keyframe embedding; 2.3 alone has prompt modulation and no caption
    # projection in its transformer.
    if "keyframes_abs_pos_embedding" in known:
        return "LTX-2.5 22B"
    if any(name.startswith("prompt_adaln") for name in known):
        return "LTX-2.3 22B"
    return "LTX-2 19B"


def source_of(header: Header) -> Source | None:
    """What a safetensors file holds that no pipeline takes as it is; None where nothing is known.

    A checkpoint is one where it lacks its configuration: the caller tells those that have one.
    """
    tensors = header.tensors
    bare = {name.removeprefix(TRANSFORMER) for name in tensors}
    if any(name.startswith(_BLOCKS) for name in bare):
        if _DIFFUSERS_AUDIO_INPUT in bare:
            return _transformer(header, _DIFFUSERS)
        if _AUDIO_INPUT not in bare:
            return None
        has_prefix = any(name.startswith(TRANSFORMER) for name in tensors)
        return _transformer(header, _NO_CONFIGURATION if has_prefix else _COMFY)
    return _gemma(header) or _part(header)


def source_of_gguf(header: Header) -> Source | Foreign:
    """What a GGUF file holds."""
    tensors = header.tensors
    layout = _gguf_layout(header)
    bare = {name.removeprefix(TRANSFORMER) for name in tensors}
    kind: SourceKind
    if any(name.startswith(_BLOCKS) for name in bare) and _AUDIO_INPUT in bare:
        kind, model = "transformer", f"transformer of {variant_of(bare)}"
        parts = components(_prefixed(tensors), CHECKPOINT_PARTS)
    elif (family := _GGUF_FAMILIES.get(header.metadata.get("general.architecture", ""))) and (
        "token_embd.weight" in tensors
    ):
        kind, model = "gemma", f"{family} {_gguf_size(header, family)}"
        parts = components(tensors, _GEMMA_PARTS)
    elif header.metadata.get("clip.projector_type") == "gemma3":
        kind, model = "part", "vision tower of a Gemma 3"
        parts = components(tensors, _GEMMA_PARTS)
    else:
        return Foreign(components(tensors, ()), header.bytes)
    return Source(kind, model, layout, _most_used(tensors), parts, header.bytes)


def source_of_diffusers(header: Header) -> Source | None:
    """What a folder of diffusers holds, whose transformer has this header; None if another model's.

    `header` is that of all its shards together.
    """
    if _DIFFUSERS_AUDIO_INPUT not in header.tensors:
        return None
    found = _transformer(header, _DIFFUSERS)
    return replace(found, layout=f"a diffusers folder, {found.codes}")


def quantized_gemma(header: Header) -> str | None:
    """What ComfyUI calls the quantized weights of a Gemma in this file; None where it has none."""
    name = comfy_name(header, precision_of(header, ""), "")
    return f"ComfyUI's {name}" if name and _is_scaled(header) else None


def _transformer(header: Header, layout: str) -> Source:
    has_prefix = any(name.startswith(TRANSFORMER) for name in header.tensors)
    blocks = TRANSFORMER + _BLOCKS if has_prefix else _BLOCKS
    codes = precision_of(header, blocks)
    name = comfy_name(header, codes, blocks)
    return Source(
        "transformer",
        f"transformer of {variant_of(header.tensors)}",
        f"ComfyUI's {name}" if name and layout == _COMFY else f"{name or codes}, {layout}",
        codes,
        components(_prefixed(header.tensors), CHECKPOINT_PARTS),
        header.bytes,
    )


def _prefixed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a transformer under upstream's names."""
    if any(name.startswith(TRANSFORMER) for name in tensors):
        return dict(tensors)
    return {TRANSFORMER + name: tensor for name, tensor in tensors.items()}


def _gemma(header: Header) -> Source | None:
    found = [match for name in header.tensors if (match := _GEMMA_LAYER.fullmatch(name))]
    if not found:
        return None
    layers = found[0][1]
    family = "Gemma 4" if f"{layers}0.layer_scalar" in header.tensors else "Gemma 3"
    norm = header.tensors.get(layers.removesuffix("layers.") + "norm.weight")
    size = size_of(family, norm.elements if norm else 0, 1 + max(int(match[2]) for match in found))
    codes = precision_of(header, layers)
    layout = quantized_gemma(header) or f"{codes}, one file without its settings"
    parts = components(header.tensors, _GEMMA_PARTS)
    return Source("gemma", f"{family} {size}", layout, codes, parts, header.bytes)


def _part(header: Header) -> Source | None:
    parts = components(header.tensors, _PARTS)
    named = dict.fromkeys(part.name for part in parts if part.name != "other")
    if not named:
        return None
    return Source("part", " and ".join(named), _NO_CONFIGURATION, "", parts, header.bytes)


def _is_scaled(header: Header) -> bool:
    return any(is_marker(name) or name.endswith(_SCALED) for name in header.tensors) or bool(
        header.marks
    )


_GGUF_FAMILIES = {"gemma3": "Gemma 3", "gemma4": "Gemma 4"}
"""As llama.cpp names the architectures."""


def _gguf_size(header: Header, family: str) -> str:
    architecture = header.metadata["general.architecture"]
    told = [header.metadata.get(f"{architecture}.{key}") for key in _GGUF_NUMBERS]
    width, layers = (int(text) if text and text.isdecimal() else 0 for text in told)
    return size_of(family, width, layers)


_GGUF_NUMBERS = ("embedding_length", "block_count")


def _gguf_layout(header: Header) -> str:
    split = header.metadata.get("split.count", "0")
    number = header.metadata.get("split.no", "0")
    if split.isdecimal() and number.isdecimal() and int(split) > 1:
        return f"GGUF, mostly {_most_used(header.tensors)}, file {int(number) + 1} of {split}"
    return f"GGUF, mostly {_most_used(header.tensors)}"


def _most_used(tensors: Mapping[str, Tensor]) -> str:
    """The type that holds the most values."""
    held: dict[str, int] = {}
    for tensor in tensors.values():
        held[tensor.dtype] = held.get(tensor.dtype, 0) + tensor.elements
    return max(held, key=lambda kind: held[kind], default="nothing")

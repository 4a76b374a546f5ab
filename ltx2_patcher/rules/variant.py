"""What a safetensors file is, told by its tensors' names, never by its name or version."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ltx2_patcher.rules.architecture import checkpoint_keys, count, section
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import (
    Checkpoint,
    Component,
    Foreign,
    Header,
    Lora,
    Tensor,
    Upsampler,
)

_BLOCKS = "model.diffusion_model.transformer_blocks."
_PROJECTIONS = (
    "text_embedding_projection.aggregate_embed.weight",
    "text_embedding_projection.video_aggregate_embed.weight",
)
_CHECKPOINT_PARTS = (
    # First match wins: the connectors lie inside the transformer's names, but upstream builds them
    # apart, together with the text projection.
    ("embeddings processor", "model.diffusion_model.video_embeddings_connector."),
    ("embeddings processor", "model.diffusion_model.audio_embeddings_connector."),
    ("embeddings processor", "text_embedding_projection."),
    ("transformer", "model.diffusion_model."),
    ("video vae", "vae."),
    ("audio vae", "audio_vae."),
    ("vocoder", "vocoder."),
)
_GEMMA_PARTS = (
    ("vision tower", "vision_tower."),
    ("projector", "multi_modal_projector."),
    ("language model", "language_model."),
)
_LORA_ENDS = (".lora_A.weight", ".lora_B.weight", ".lora_down.weight", ".lora_up.weight")
_SCALE_ENDS = (".weight_scale", ".scale_weight", ".input_scale", ".scale_input")


def identify(header: Header, origin: str) -> Checkpoint | Lora | Upsampler | Foreign:
    """What the file is. Raises: InvalidError where its configuration can't be used."""
    names = header.tensors.keys()
    if any(name.startswith(_BLOCKS) for name in names):
        return _checkpoint(header, origin)
    if any(name.endswith(_LORA_ENDS) for name in names):
        return _lora(header)
    if any(name.startswith("post_upsample_res_blocks.") for name in names):
        scale = configuration(header, origin).get("spatial_scale")
        return Upsampler(f"x{scale!a}", components(header.tensors, ()), header.bytes)
    return Foreign(components(header.tensors, _GEMMA_PARTS), header.bytes)


def configuration(header: Header, origin: str) -> Mapping[str, object]:
    """The model configuration in the file's metadata; empty where it has none.

    Raises: InvalidError where it is no JSON object.
    """
    try:
        found = json.loads(header.metadata.get("config", "{}"))
    except (ValueError, RecursionError) as error:
        raise _unusable(origin) from error
    if not isinstance(found, dict):
        raise _unusable(origin)
    return found


def components(
    tensors: Mapping[str, Tensor], parts: tuple[tuple[str, str], ...]
) -> tuple[Component, ...]:
    """The tensors by part, `parts` being (part, prefix) in order; "other" takes what none does."""
    found: dict[str, list[Tensor]] = {part: [] for part, _ in parts}
    for name, tensor in tensors.items():
        part = next((part for part, prefix in parts if name.startswith(prefix)), "other")
        found.setdefault(part, []).append(tensor)
    return tuple(_component(part, group) for part, group in found.items() if group)


def gemma_components(tensors: Mapping[str, Tensor]) -> tuple[Component, ...]:
    """The parts of a Gemma whose tensors have their published names."""
    return components(tensors, _GEMMA_PARTS)


def _checkpoint(header: Header, origin: str) -> Checkpoint:
    tensors = header.tensors
    config = configuration(header, origin)
    projection = next((tensors[name] for name in _PROJECTIONS if name in tensors), None)
    width = projection.shape[1] if projection and len(projection.shape) == 2 else None
    if not section(config, "transformer"):
        raise InvalidError(
            f"{origin} has no model configuration in its metadata, so upstream can't build it",
            remedy="take the file that Lightricks publish; repacked ones often drop the metadata",
        )
    variant = _variant(tensors)
    missing = frozenset() if variant == "LTX-2.5 22B" else checkpoint_keys(config) - tensors.keys()
    return Checkpoint(
        variant=variant,
        layers=count(section(config, "transformer"), "num_layers"),
        precision=_precision(tensors),
        context_width=width,
        fp8_elements=sum(
            tensor.elements
            for name, tensor in tensors.items()
            if name.startswith(_BLOCKS) and name.endswith(".weight") and len(tensor.shape) == 2
        ),
        components=components(tensors, _CHECKPOINT_PARTS),
        missing=tuple(sorted(missing)),
        bytes=header.bytes,
    )


def _variant(tensors: Mapping[str, Tensor]) -> str:
    # 2.5 alone has the keyframe embedding; 2.3 alone has prompt modulation and no caption
    # projection in its transformer.
    if "model.diffusion_model.keyframes_abs_pos_embedding" in tensors:
        return "LTX-2.5 22B"
    if "model.diffusion_model.prompt_adaln_single.linear.weight" in tensors:
        return "LTX-2.3 22B"
    return "LTX-2 19B"


def _precision(tensors: Mapping[str, Tensor]) -> str:
    blocks = {name: t for name, t in tensors.items() if name.startswith(_BLOCKS)}
    if not any(t.dtype.startswith("F8") for t in blocks.values()):
        kinds = {t.dtype for name, t in blocks.items() if name.endswith(".weight")}
        return "/".join(sorted(kind.lower() for kind in kinds))
    scaled = any(name.endswith(_SCALE_ENDS) for name in blocks)
    return "fp8 with scales" if scaled else "fp8"


def _lora(header: Header) -> Lora:
    downs = [
        tensor
        for name, tensor in header.tensors.items()
        if name.endswith((".lora_A.weight", ".lora_down.weight")) and tensor.shape
    ]
    return Lora(
        rank=max((tensor.shape[0] for tensor in downs), default=0),
        modules=len(downs),
        components=components(header.tensors, ()),
        bytes=header.bytes,
    )


def _component(name: str, tensors: list[Tensor]) -> Component:
    dtypes: dict[str, int] = {}
    for tensor in tensors:
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + 1
    return Component(
        name=name,
        tensors=len(tensors),
        elements=sum(tensor.elements for tensor in tensors),
        bytes=sum(tensor.bytes for tensor in tensors),
        dtypes=dict(sorted(dtypes.items())),
    )


def _unusable(origin: str) -> InvalidError:
    return InvalidError(
        f"the model configuration in {origin} can't be read",
        remedy="download the file again, from the model's own page",
    )

"""The parts of a model, by how their tensors are named."""

from __future__ import annotations

from collections.abc import Mapping

from ltx2_patcher.values.weights import Component, Tensor

Shown = tuple[tuple[str, str], ...]
"""(part, prefix of its names), in order: the first that fits counts."""

CHECKPOINT_PARTS = (
    # First match wins: the connectors lie inside the transformer's names, but upstream builds them
    # apart, together with the text projection.
    ("embeddings processor", "model.diffusion_model.video_embeddings_connector."),
    ("embeddings processor", "model.diffusion_model.audio_embeddings_connector."),
    ("embeddings processor", "text_embedding_projection."),
    ("transformer", "model.diffusion_model."),
    ("video vae", "vae."),
    ("audio vae", "audio_vae."),
    ("vocoder", "vocoder."),
    ("duration head", "duration_head."),
)
VAE_PARTS = (("encoder", "vae.encoder."), ("decoder", "vae.decoder."))
_GEMMA_PARTS = (
    # Of a packed file, which holds more than a Gemma.
    ("text projection", "text_embedding_projection."),
    ("tokenizer and settings", "tokenizer_json"),
    ("tokenizer and settings", "hf_asset__"),
    # Gemma 3 as it is published.
    ("vision tower", "vision_tower."),
    ("projector", "multi_modal_projector."),
    ("language model", "language_model."),
    # Gemma 4 as it is published.
    ("vision tower", "model.vision_tower."),
    ("audio tower", "model.audio_tower."),
    ("embedders", "model.vision_embedder."),
    ("embedders", "model.embed_vision."),
    ("embedders", "model.embed_audio."),
    ("language model", "model.language_model."),
    ("output head", "lm_head."),
    ("output head", "model.lm_head."),
)


def components(tensors: Mapping[str, Tensor], parts: Shown) -> tuple[Component, ...]:
    """The tensors by part, `parts` being (part, prefix) in order; "other" takes what none does."""
    found: dict[str, list[Tensor]] = {part: [] for part, _ in parts}
    for name, tensor in tensors.items():
        part = next((part for part, prefix in parts if name.startswith(prefix)), "other")
        found.setdefault(part, []).append(tensor)
    return tuple(_component(part, group) for part, group in found.items() if group)


def gemma_components(tensors: Mapping[str, Tensor]) -> tuple[Component, ...]:
    """The parts of a Gemma whose tensors have their published names."""
    return components(tensors, _GEMMA_PARTS)


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

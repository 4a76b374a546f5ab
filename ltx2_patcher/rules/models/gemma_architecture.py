"""The names of every tensor that a Gemma holds, from its transformers configuration.

Written from transformers' classes (4.57 for Gemma 3, 5.14 for Gemma 4), in the layout in which each
was published and which upstream's key operations take; the tests compare with the classes' own.
"""

from __future__ import annotations

from collections.abc import Iterator

from ltx2_patcher.rules.models.architecture import Config, count, section

_SIZES = {
    ("Gemma 3", 1152, 26): "1B",
    ("Gemma 3", 2560, 34): "4B",
    ("Gemma 3", 3840, 48): "12B",
    ("Gemma 3", 5376, 62): "27B",
    ("Gemma 4", 3840, 48): "12B",
}


def size_of(family: str, width: int, layers: int) -> str:
    """What the size is called: "12B", or its width and layers."""
    return _SIZES.get((family, width, layers), f"{width} wide, {layers} layers")


def gemma_keys(config: Config) -> frozenset[str]:
    """Every tensor of a Gemma with this configuration; none where we don't know its kind.

    `lm_head` is left out: it is tied to the embedding.

    Raises: InvalidError where a number of layers is missing or absurd.
    """
    if config.get("model_type") == "gemma4_unified":
        return frozenset((*_gemma_4_language(config), *_gemma_4_embedders(config)))
    if config.get("model_type") == "gemma3":
        return frozenset((*_gemma_3_language(config), *_gemma_3_vision(config)))
    return frozenset()


def _gemma_3_language(config: Config) -> Iterator[str]:
    """language_model.model.*, as in google/gemma-3-12b-it."""
    yield "language_model.model.embed_tokens.weight"
    yield "language_model.model.norm.weight"
    for index in range(count(section(config, "text_config"), "num_hidden_layers")):
        layer = f"language_model.model.layers.{index}"
        for module in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"):
            yield f"{layer}.self_attn.{module}.weight"
        yield from _surroundings(layer)


def _gemma_3_vision(config: Config) -> Iterator[str]:
    yield "multi_modal_projector.mm_input_projection_weight"
    yield "multi_modal_projector.mm_soft_emb_norm.weight"
    tower = "vision_tower.vision_model"
    yield from _affine(f"{tower}.embeddings.patch_embedding")
    yield f"{tower}.embeddings.position_embedding.weight"
    yield from _affine(f"{tower}.post_layernorm")
    for index in range(count(section(config, "vision_config"), "num_hidden_layers")):
        layer = f"{tower}.encoder.layers.{index}"
        for module in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _affine(f"{layer}.self_attn.{module}")
        for module in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"):
            yield from _affine(f"{layer}.{module}")


def _gemma_4_language(config: Config) -> Iterator[str]:
    """model.language_model.*; full-attention layers may take their keys as values, too."""
    text = section(config, "text_config")
    kinds = text.get("layer_types")
    yield "model.language_model.embed_tokens.weight"
    yield "model.language_model.norm.weight"
    for index in range(count(text, "num_hidden_layers")):
        layer = f"model.language_model.layers.{index}"
        full = isinstance(kinds, list) and kinds[index : index + 1] == ["full_attention"]
        for module in ("q_proj", "k_proj", "o_proj", "q_norm", "k_norm"):
            yield f"{layer}.self_attn.{module}.weight"
        if not (full and text.get("attention_k_eq_v")):
            yield f"{layer}.self_attn.v_proj.weight"
        yield f"{layer}.layer_scalar"
        yield from _surroundings(layer)


def _gemma_4_embedders(config: Config) -> Iterator[str]:
    """What takes pictures and sound in: there are no towers."""
    if section(config, "vision_config"):
        for module in ("patch_dense", "patch_ln1", "patch_ln2", "pos_norm"):
            yield from _affine(f"model.vision_embedder.{module}")
        yield "model.vision_embedder.pos_embedding"
        yield "model.embed_vision.embedding_projection.weight"
    if section(config, "audio_config"):
        yield "model.embed_audio.embedding_projection.weight"


def _surroundings(layer: str) -> Iterator[str]:
    for module in ("gate_proj", "up_proj", "down_proj"):
        yield f"{layer}.mlp.{module}.weight"
    for around in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
        yield f"{layer}.{around}_layernorm.weight"


def _affine(name: str) -> Iterator[str]:
    yield f"{name}.weight"
    yield f"{name}.bias"

from __future__ import annotations

import pytest
from ltx_core.text_encoders.gemma.quantized.key_names import (
    hub_name,
    is_language_linear_weight,
    older_name,
    plain_name,
)

LAYOUTS = {
    "language_model.layers.0.mlp.up_proj.weight": [
        "language_model.model.layers.0.mlp.up_proj.weight",
        "model.language_model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
    ],
    "language_model.embed_tokens.weight": [
        "language_model.model.embed_tokens.weight",
        "model.language_model.embed_tokens.weight",
        "model.embed_tokens.weight",
    ],
    "vision_tower.encoder.layers.0.mlp.fc1.weight": [
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
        "vision_tower.encoder.layers.0.mlp.fc1.weight",
        "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
        "model.vision_tower.encoder.layers.0.mlp.fc1.weight",
    ],
    "multi_modal_projector.mm_soft_emb_norm.weight": [
        "multi_modal_projector.mm_soft_emb_norm.weight",
        "model.multi_modal_projector.mm_soft_emb_norm.weight",
    ],
    "embed_vision.patch_dense.weight": [
        "model.vision_embedder.patch_dense.weight",
        "model.embed_vision.patch_dense.weight",
        "vision_model.patch_dense.weight",
    ],
    "embed_vision.embedding_projection.weight": [
        "model.embed_vision.embedding_projection.weight",
        "model.embed_vision.multimodal_embedder.embedding_projection.weight",
        "multi_modal_projector.embedding_projection.weight",
    ],
    "embed_audio.embedding_projection.weight": [
        "model.embed_audio.embedding_projection.weight",
        "audio_projector.embedding_projection.weight",
    ],
}


@pytest.mark.parametrize("plain", LAYOUTS)
def test_every_layout_comes_down_to_one_name(plain: str) -> None:
    assert {plain_name(name) for name in LAYOUTS[plain]} == {plain}
    assert plain_name(plain) == plain


def test_names_of_other_things_stay() -> None:
    for name in ("lm_head.weight", "tokenizer_json", "text_embedding_projection.aggregate.weight"):
        assert {plain_name(name), hub_name(name), older_name(name)} == {name}


def test_the_hub_keeps_the_towers_inner_segment() -> None:
    inner = "vision_tower.vision_model.post_layernorm.weight"
    assert hub_name("vision_tower.post_layernorm.weight") == inner
    assert hub_name(inner) == inner
    gemma_4 = "model.vision_tower.patch_embedder.input_proj.weight"
    assert hub_name(gemma_4) == gemma_4


@pytest.mark.parametrize("plain", LAYOUTS)
def test_only_the_language_models_matrices_are_its_linears(plain: str) -> None:
    for name in LAYOUTS[plain]:
        assert is_language_linear_weight(name, (64, 64)) == plain.endswith("up_proj.weight")
        assert not is_language_linear_weight(name, (64,))


def test_gemma_4s_matrices_outside_the_layers_are_linears_too() -> None:
    prefix = "model.language_model."
    assert is_language_linear_weight(f"{prefix}per_layer_model_projection.weight", (128, 64))
    assert not is_language_linear_weight(f"{prefix}embed_tokens_per_layer.weight", (512, 128))

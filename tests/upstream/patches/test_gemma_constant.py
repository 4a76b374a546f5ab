"""The group `portable` on 1.0.0, where upstream builds every Gemma from one constant."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader import SingleGPUModelBuilder
from ltx_core.text_encoders.gemma import (
    GEMMA_LLM_KEY_OPS,
    GEMMA_MODEL_OPS,
    EmbeddingsProcessorConfigurator,
    GemmaTextEncoder,
    GemmaTextEncoderConfigurator,
    module_ops_from_gemma_root,
)
from ltx_core.text_encoders.gemma.config import GEMMA3_CONFIG_FOR_LTX
from ltx_core.text_encoders.gemma.encoders.encoder_configurator import _gemma_config
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.root_config import bound_to_root, stated_config
from ltx_pipelines.utils.model_ledger import ModelLedger
from safetensors.torch import save_file
from transformers import Gemma3Config

from .conftest import TINY_GEMMA, root_stating

STOCK = GEMMA3_CONFIG_FOR_LTX.to_dict()
"""What google/gemma-3-12b-it-qat-q4_0-unquantized states, field by field."""

SPARSE_STOCK = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "eos_token_id": [1, 106],
    "image_token_index": 262144,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 3840,
        "intermediate_size": 15360,
        "model_type": "gemma3_text",
        "num_attention_heads": 16,
        "num_hidden_layers": 48,
        "num_key_value_heads": 8,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
"""The 12B's config.json with transformers' defaults left out, as google/gemma-3-12b-it has it."""


def saved_by_transformers_5(config: dict[str, Any]) -> dict[str, Any]:
    newer = copy.deepcopy(config)
    text = newer["text_config"]
    for key in ("rope_theta", "rope_local_base_freq"):
        text.pop(key, None)
    text["rope_parameters"] = {
        "full_attention": {**text.pop("rope_scaling"), "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    for part in (newer["text_config"], newer["vision_config"]):
        part.pop("torch_dtype", None)
        part["dtype"] = "bfloat16"
    return newer


def differences(left: dict[str, Any], right: dict[str, Any], at: str = "") -> Iterator[str]:
    for key in sorted(left.keys() | right.keys()):
        ours, theirs = left.get(key), right.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from differences(ours, theirs, f"{at}{key}.")
        elif ours != theirs:
            yield at + key


# transformers folds it into layer_types and keeps the word as it came.
FOLDED = {"text_config.sliding_window_pattern"}


@pytest.mark.parametrize(
    ("stated", "allowed"),
    [
        (STOCK, set()),
        (SPARSE_STOCK, FOLDED | {"transformers_version"}),
        (saved_by_transformers_5(STOCK), set()),
        (saved_by_transformers_5(SPARSE_STOCK), FOLDED | {"transformers_version"}),
    ],
    ids=["full", "sparse", "full, transformers 5", "sparse, transformers 5"],
)
def test_a_stock_root_gives_the_constant(
    tmp_path: Path, stated: dict[str, Any], allowed: set[str]
) -> None:
    root = root_stating(tmp_path / "gemma", stated)
    ours = _gemma_config(str(root)).to_dict()
    assert set(differences(ours, Gemma3Config.from_dict(STOCK).to_dict())) <= allowed


def test_the_stock_root_gives_the_constants_modules(tmp_path: Path) -> None:
    root = root_stating(tmp_path / "gemma", SPARSE_STOCK)

    def shapes(configurator: type[GemmaTextEncoderConfigurator]) -> dict[str, object]:
        encoder = GEMMA_MODEL_OPS.mutator(configurator.from_config({}))
        named = {**dict(encoder.named_parameters()), **dict(encoder.named_buffers())}
        kept = {k: v.tolist() for k, v in named.items() if not v.is_meta}
        return {**{k: (v.shape, v.dtype) for k, v in named.items()}, "values": kept}

    bound = bound_to_root(GemmaTextEncoderConfigurator, str(root))
    assert shapes(bound) == shapes(GemmaTextEncoderConfigurator)
    ours, theirs = bound.from_config({}).model, GemmaTextEncoderConfigurator.from_config({}).model
    assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()


@pytest.mark.parametrize("config", [None, "no root"])
def test_without_config_json_or_root_it_is_the_constant(tmp_path: Path, config: str | None) -> None:
    root = None if config else str(root_stating(tmp_path / "gemma", None))
    assert stated_config(root) is None
    assert _gemma_config(root).to_dict() == Gemma3Config.from_dict(STOCK).to_dict()


def test_an_unscaled_root_gets_default_rope(tmp_path: Path) -> None:
    unscaled: dict[str, Any] = copy.deepcopy(TINY_GEMMA)
    del unscaled["text_config"]["rope_scaling"]
    root = root_stating(tmp_path / "gemma", unscaled)
    encoder = bound_to_root(GemmaTextEncoderConfigurator, str(root)).from_config({})
    model = GEMMA_MODEL_OPS.mutator(encoder).model.model.language_model
    assert torch.equal(
        model.rotary_emb.inv_freq, 1.0 / 1_000_000 ** (torch.arange(0, 16, 2).float() / 16)
    )


@pytest.mark.parametrize(
    ("rope", "sentence"),
    [
        ({"rope_parameters": {"full_attention": []}}, "states no rope that can be read"),
        ({"rope_parameters": {"full_attention": {}}}, "states no rope that can be read"),
        ({"model_type": "gemma2"}, "not a Gemma 3"),
    ],
)
def test_a_config_that_is_not_whole_is_refused(
    tmp_path: Path, rope: dict[str, Any], sentence: str
) -> None:
    broken: dict[str, Any] = copy.deepcopy(TINY_GEMMA)
    (broken if "model_type" in rope else broken["text_config"]).update(rope)
    with pytest.raises(GemmaRootError, match=sentence):
        stated_config(str(root_stating(tmp_path / "gemma", broken)))


V2_TRANSFORMER = {
    "caption_proj_before_connector": True,
    "caption_projection_first_linear": False,
    "caption_proj_input_norm": False,
    "caption_projection_second_linear": False,
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 16,
}


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("transformer", [{}, V2_TRANSFORMER], ids=["19B", "2.3"])
def test_the_feature_extractor_has_the_roots_size(
    tmp_path: Path, transformer: dict[str, Any], bound: bool
) -> None:
    root = root_stating(tmp_path / "gemma", TINY_GEMMA)
    configurator = EmbeddingsProcessorConfigurator
    hidden, layers = 3840, 48
    if bound:
        configurator = bound_to_root(configurator, str(root))
        hidden, layers = 64, 2
    with torch.device("meta"):
        extractor = configurator.from_config({"transformer": transformer}).feature_extractor
    shapes = {name: tuple(p.shape) for name, p in extractor.named_parameters()}
    flat = hidden * (layers + 1)
    if transformer:
        assert shapes["video_aggregate_embed.weight"] == (64, flat)
        assert shapes["audio_aggregate_embed.weight"] == (32, flat)
        assert extractor.embedding_dim == hidden
    else:
        assert shapes == {"aggregate_embed.weight": (hidden, flat)}


def ledger_on(root: Path | None, checkpoint: Path) -> ModelLedger:
    return ModelLedger(
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        checkpoint_path=str(checkpoint),
        gemma_root_path=None if root is None else str(root),
    )


@pytest.fixture
def encoder(tiny_gemma_root: Path, tmp_path: Path) -> GemmaTextEncoder:
    return ledger_on(tiny_gemma_root, tmp_path / "unread.safetensors").text_encoder()


def test_the_ledger_loads_a_small_gemma_whole(encoder: GemmaTextEncoder) -> None:
    assert not [name for name, p in encoder.named_parameters() if p.is_meta]
    hidden, mask = encoder.encode("a red fox")
    assert [h.shape for h in hidden] == [(1, 1024, 64)] * 3
    assert 0 < mask.sum() < 1024
    assert all(torch.isfinite(h).all() for h in hidden)


def test_the_ledger_sizes_the_processor_by_the_root(tiny_gemma_root: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "ltx.safetensors"
    config = json.dumps({"transformer": V2_TRANSFORMER})
    save_file({"x": torch.zeros(1)}, checkpoint, metadata={"config": config})
    for root, flat in ((tiny_gemma_root, 64 * 3), (None, 3840 * 49)):
        builder = ledger_on(root, checkpoint).embeddings_processor_builder
        model = builder.meta_model(builder.model_config(), builder.module_ops)
        assert model.feature_extractor.video_aggregate_embed.in_features == flat


def test_unbound_configurators_still_build(tiny_gemma_root: Path) -> None:
    """As ltx_trainer.model_loader.load_text_encoder uses them: no root, so the stock 12B."""
    builder = SingleGPUModelBuilder(
        model_path=tuple(str(p) for p in tiny_gemma_root.glob("*.safetensors")),
        model_class_configurator=GemmaTextEncoderConfigurator,
        model_sd_ops=GEMMA_LLM_KEY_OPS,
        module_ops=(GEMMA_MODEL_OPS, *module_ops_from_gemma_root(str(tiny_gemma_root))),
    )
    encoder = builder.meta_model(builder.model_config(), builder.module_ops)
    assert encoder.model.config.text_config.hidden_size == 3840

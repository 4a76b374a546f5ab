"""The group `portable` where upstream has the 12B's sizes as literals: until 2026-02-09."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader import SingleGPUModelBuilder
from ltx_core.text_encoders.gemma import (
    AV_GEMMA_TEXT_ENCODER_KEY_OPS,
    AVGemmaTextEncoderModel,
    AVGemmaTextEncoderModelConfigurator,
    module_ops_from_gemma_root,
)
from ltx_core.text_encoders.gemma.root_config import bound_to_root
from safetensors.torch import save_file

from tests.upstream.conftest import DATE
from verify.campaigns.gemma_encoder import text_encoders

from .conftest import TINY_GEMMA, root_stating

CONNECTORS = {
    "connector_attention_head_dim": 32,
    "connector_num_attention_heads": 2,
    "connector_num_layers": 1,
}
STOCK = {**TINY_GEMMA, "text_config": {"hidden_size": 3840, "num_hidden_layers": 48}}
LITERALS = {"flat": 3840 * 49, "out": 3840, "heads": 30, "width": 3840, "layers": 2}


def encoder_of(root: Path | None, transformer: dict[str, Any]) -> AVGemmaTextEncoderModel:
    configurator = AVGemmaTextEncoderModelConfigurator
    if root is not None:
        configurator = bound_to_root(configurator, str(root))
    with torch.device("meta"):
        return configurator.from_config({"transformer": transformer})


def sizes(encoder: AVGemmaTextEncoderModel) -> dict[str, int]:
    projection = encoder.feature_extractor_linear.aggregate_embed
    video, audio = encoder.embeddings_connector, encoder.audio_embeddings_connector
    assert video.state_dict().keys() == audio.state_dict().keys()
    return {
        "flat": projection.in_features,
        "out": projection.out_features,
        "heads": video.num_attention_heads,
        "width": video.inner_dim,
        "layers": len(video.transformer_1d_blocks),
    }


def test_the_projection_has_the_roots_size_and_the_connectors_the_checkpoints(
    tmp_path: Path,
) -> None:
    root = root_stating(tmp_path / "gemma", TINY_GEMMA)
    tiny = {"flat": 64 * 3, "out": 64, "heads": 2, "width": 64, "layers": 1}
    assert sizes(encoder_of(root, CONNECTORS)) == tiny


@pytest.mark.parametrize("stated", [STOCK, None], ids=["stock", "no config.json"])
def test_otherwise_the_literals_stand(tmp_path: Path, stated: dict[str, Any] | None) -> None:
    root = root_stating(tmp_path / "gemma", stated)
    assert sizes(encoder_of(root, {})) == LITERALS
    assert sizes(encoder_of(None, {})) == LITERALS


def test_the_ledger_binds_its_root(tiny_gemma_root: Path, tmp_path: Path) -> None:
    ledger: Any = text_encoders(tiny_gemma_root, tmp_path / "unread")
    builder = ledger.text_encoder_builder
    assert builder.model_class_configurator.gemma_root == str(tiny_gemma_root)
    assert issubclass(builder.model_class_configurator, AVGemmaTextEncoderModelConfigurator)


def test_unbound_configurators_still_build(tiny_gemma_root: Path, tmp_path: Path) -> None:
    """As ltx_trainer.model_loader.load_text_encoder uses them: no root, so the stock 12B."""
    checkpoint = tmp_path / "ltx.safetensors"
    save_file({"x": torch.zeros(1)}, checkpoint, metadata={"config": json.dumps({})})
    builder = SingleGPUModelBuilder(
        model_path=str(checkpoint),
        model_class_configurator=AVGemmaTextEncoderModelConfigurator,
        model_sd_ops=AV_GEMMA_TEXT_ENCODER_KEY_OPS,
        module_ops=module_ops_from_gemma_root(str(tiny_gemma_root)),
    )
    encoder = builder.meta_model(builder.model_config(), builder.module_ops)
    assert sizes(encoder) == LITERALS
    # `from_pretrained` gives Gemma its own size; since 2026-01-29 a constant gives it the 12B's.
    hidden_size = 64 if DATE < "2026-01-29" else 3840
    assert encoder.model.config.text_config.hidden_size == hidden_size

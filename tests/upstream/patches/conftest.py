"""The patched upstream under test, and a tiny Gemma root that it can load.

Run with the patched tree's `packages/ltx-core/src` and `packages/ltx-pipelines/src` on PYTHONPATH.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.model.transformer import LTXModelConfigurator
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast

from tests.upstream.conftest import DATE

PIPELINES = [
    "distilled",
    "ic_lora",
    "keyframe_interpolation",
    "ti2vid_one_stage",
    "ti2vid_two_stages",
]
"""Each script whose parser accepts --enhance-prompt; those that edit a video apart."""
if "2026-03-04" <= DATE < "2026-03-05":
    PIPELINES += ["a2vid_two_stage", "ti2vid_two_stages_res2s"]
if DATE >= "2026-03-05":
    PIPELINES += ["a2vid_two_stage", "ti2vid_two_stages_hq"]
if DATE >= "2026-07-08":
    PIPELINES += ["t2a_one_stage"]
if DATE >= "2026-08-11":
    PIPELINES += ["dfr_pipeline"]

# What these import is in some bases' upstream only.
collect_ignore = [] if "2026-03-05" <= DATE < "2026-03-30" else ["test_gemma_constant.py"]
collect_ignore += [] if DATE < "2026-03-04" else ["test_gemma_literals.py"]
collect_ignore += [] if DATE >= "2026-08-11" else ["test_without_cuda.py"]
# That base's series has no such patch: it would not fit two of the revisions that it supports.
collect_ignore += [] if DATE >= "2026-02-09" and DATE != "2026-05-28" else ["test_scaled_mm.py"]
# Upstream folds scales, and loads LoRAs on the CPU, from then on.
collect_ignore += [] if DATE < "2026-05-28" else ["test_ampere.py"]

TINY_GEMMA = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 4,
    "eoi_token_index": 5,
    "image_token_index": 6,
    "eos_token_id": [1],
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "head_dim": 16,
        "hidden_size": 64,
        "intermediate_size": 128,
        "model_type": "gemma3_text",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 64,
        "vocab_size": 512,
    },
    "vision_config": {
        "hidden_size": 64,
        "image_size": 224,
        "intermediate_size": 128,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "patch_size": 14,
        "vision_use_head": False,
    },
}

_SPECIAL_TOKENS = [
    "<pad>", "<eos>", "<bos>", "<unk>",
    "<start_of_image>", "<end_of_image>", "<image_soft_token>",
]  # fmt: skip
_CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}model: "


@pytest.fixture(scope="session")
def tiny_gemma_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma root of 2 layers x 64 in bf16, in the key layout of the published Gemma 3."""
    root = tmp_path_factory.mktemp("gemma")
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(Gemma3Config.from_dict(TINY_GEMMA))
    model.bfloat16().save_pretrained(root)
    (root / "config.json").write_text(json.dumps(TINY_GEMMA))
    _write_tokenizer(root)
    return root


def _write_tokenizer(root: Path) -> None:
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        ["a red fox crosses a frozen river at dawn", "user prompt: model system"],
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=_SPECIAL_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        chat_template=_CHAT_TEMPLATE,
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
    ).save_pretrained(root)
    (root / "tokenizer.model").write_bytes(b"")  # upstream looks it up by name only
    image = {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": 224, "width": 224},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (root / "preprocessor_config.json").write_text(json.dumps(image))


TINY_TRANSFORMER = {
    "activation_fn": "gelu-approximate",
    "apply_gated_attention": True,
    "attention_bias": True,
    "attention_head_dim": 32,
    "attention_type": "default",
    "audio_attention_head_dim": 16,
    "audio_cross_attention_dim": 32,
    "audio_num_attention_heads": 2,
    "audio_out_channels": 128,
    "av_cross_ada_norm": True,
    "caption_proj_before_connector": True,
    "cross_attention_adaln": True,
    "cross_attention_dim": 64,
    "cross_attention_norm": True,
    "double_self_attention": False,
    "dropout": 0.0,
    "frequencies_precision": "float64",
    "in_channels": 128,
    "norm_elementwise_affine": False,
    "num_attention_heads": 2,
    "num_embeds_ada_norm": 1000,
    "num_layers": 2,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "out_channels": 128,
    "positional_embedding_type": "rope",
    "qk_norm": "rms_norm",
    "rope_type": "split",
    "share_ff": False,
    "standardization_norm": "rms_norm",
    "upcast_attention": False,
    "use_audio_video_cross_attention": True,
    "use_linear_projection": False,
    "use_middle_indices_grid": True,
}
"""LTX-2.3's transformer (gated attention, no caption projection): 2 layers, 2 x 32 and 2 x 16."""


@pytest.fixture(scope="session")
def tiny_transformer() -> dict[str, torch.Tensor]:
    """{the model's key: bf16 tensor} of a random LTX-2.3 transformer of real spread (std 0.03)."""
    torch.manual_seed(0)
    config = {"transformer": TINY_TRANSFORMER}
    if hasattr(LTXModelConfigurator, "from_config"):
        model = LTXModelConfigurator.from_config(config)
    else:
        model = LTXModelConfigurator.from_metadata({"config": config})
    return {
        key: (torch.randn(value.shape) * 0.03).to(torch.bfloat16)
        for key, value in model.state_dict().items()
    }


def save_checkpoint(path: Path, transformer: dict[str, torch.Tensor]) -> Path:
    """Write `transformer`, in the model's keys, as a monolith with nothing else in it."""
    named = {f"model.diffusion_model.{key}": value for key, value in transformer.items()}
    metadata = {"config": json.dumps({"transformer": TINY_TRANSFORMER}), "model_version": "2.3.0"}
    save_file(named, path, metadata=metadata)
    return path


def prequantized(transformer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As ltx-2.3-22b-dev-fp8 stores it: a block's Linears in fp8 with two scales, some blocks bf16.

    Block 1 is in fp8 here. One scale a tensor, so that its largest weight gets the largest code.
    """
    stored = {}
    for key, value in transformer.items():
        if not (
            key.startswith("transformer_blocks.1.") and key.endswith(".weight") and value.dim() == 2
        ):
            stored[key] = value
            continue
        scale = value.float().abs().max() / torch.finfo(torch.float8_e4m3fn).max
        stored[key] = (value.float() / scale).to(torch.float8_e4m3fn)
        stored[f"{key}_scale"] = scale
        stored[f"{key.removesuffix('.weight')}.input_scale"] = torch.tensor(0.0157)
    return stored


def root_stating(folder: Path, config: dict[str, Any] | None) -> Path:
    """A Gemma root whose weights cannot be read: only its config.json may be."""
    folder.mkdir(exist_ok=True)
    (folder / "model-00001-of-00001.safetensors").write_bytes(b"not a safetensors file")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder

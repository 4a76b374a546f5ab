"""Random Gemma 3 roots of any size, as a download of one would lie on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    PreTrainedTokenizerFast,
)

_SPECIALS = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
]
_SENTENCES = [
    "a red fox runs over fresh snow at dawn",
    "two boats cross a quiet harbour in the rain",
    "user prompt:",
]
_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] if m['content'] is string else '' }} {% endfor %}"
)
VOCABULARY = 512


@dataclass(frozen=True)
class GemmaSize:
    """The dimensions of a random Gemma 3.

    CPU kernels of bitsandbytes need the inputs of a Linear to be a multiple of 64.
    """

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    intermediate: int = 128
    vocabulary: int = VOCABULARY
    vision: dict[str, Any] = field(
        default_factory=lambda: {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "image_size": 224,
            "patch_size": 14,
        }
    )

    def config(self) -> Gemma3Config:
        """As transformers takes it."""
        return Gemma3Config(
            text_config={
                "hidden_size": self.hidden,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.kv_heads,
                "head_dim": self.head_dim,
                "intermediate_size": self.intermediate,
                "vocab_size": self.vocabulary,
                "query_pre_attn_scalar": self.head_dim,
                "sliding_window": 1024,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            },
            vision_config={"vision_use_head": False, **self.vision},
            boi_token_index=4,
            eoi_token_index=5,
            image_token_index=6,
            mm_tokens_per_image=256,
            architectures=["Gemma3ForConditionalGeneration"],
            dtype="bfloat16",
        )


def _std(name: str, shape: torch.Size) -> float:
    """Large enough that layers matter: prompts differ in the last hidden state."""
    return 0.3 if "embed_tokens" in name else shape[1:].numel() ** -0.5


def random_model(
    size: GemmaSize, *, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Gemma3ForConditionalGeneration:
    """A Gemma with normal weights and zero biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Gemma3ForConditionalGeneration(size.config())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim >= 2:
                    parameter.normal_(std=_std(name, parameter.shape))
    return model.to(dtype).eval()


def write_root(
    root: Path, model: Gemma3ForConditionalGeneration, *, shard_size: str = "5GB"
) -> Path:
    """The root as transformers writes it, tokenizer and processor beside the weights."""
    model.save_pretrained(root, max_shard_size=shard_size)
    _spell_as_the_hub(root)
    write_tokenizer(root)
    return root


def _spell_as_the_hub(root: Path) -> None:
    """Undo what transformers 5 does to the names of Gemma 3's vision tower; older ones do not."""
    from ltx_core.text_encoders.gemma.quantized.key_names import hub_name

    for shard in root.glob("*.safetensors"):
        tensors = {hub_name(name): tensor for name, tensor in load_file(shard).items()}
        save_file(tensors, shard, metadata={"format": "pt"})
    for index in root.glob("*.safetensors.index.json"):
        stated = json.loads(index.read_text())
        weight_map = {hub_name(name): file for name, file in stated["weight_map"].items()}
        index.write_text(json.dumps({**stated, "weight_map": weight_map}))


def write_tokenizer(folder: Path) -> None:
    """Tokenizer and image processor files; tokenizer.model is looked up by name only."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _SENTENCES,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=_SPECIALS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        chat_template=_CHAT_TEMPLATE,
    ).save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(b"")
    Gemma3ImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)
    processor = {"processor_class": "Gemma3Processor", "image_seq_length": 256}
    (folder / "processor_config.json").write_text(json.dumps(processor))


def rewrite_shards(root: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    """Replace the root's weights by `tensors` in that many files, indexed if there are several."""
    for old in [*root.glob("*.safetensors"), *root.glob("*.safetensors.index.json")]:
        old.unlink()
    names = list(tensors)
    weight_map = {}
    for number in range(shards):
        part = names[number::shards]
        file = (
            f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
            if shards > 1
            else "model.safetensors"
        )
        save_file(
            {name: tensors[name].contiguous() for name in part},
            root / file,
            metadata={"format": "pt"},
        )
        weight_map.update(dict.fromkeys(part, file))
    if shards > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (root / "model.safetensors.index.json").write_text(json.dumps(index))

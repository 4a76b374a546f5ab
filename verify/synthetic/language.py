"""The tokenizer and processor files of a Gemma root, whose own ones are not ours to publish."""

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from verify.synthetic.architecture import GemmaFamily

# In the order of their ids: Gemma's own ids of the first four, then as the tiny sizes say.
_FIRST_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")
SPECIAL_TOKENS = {
    GemmaFamily.GEMMA_3: (
        *_FIRST_TOKENS,
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<end_of_image>",
        "<image_soft_token>",
    ),
    GemmaFamily.GEMMA_4: (
        *_FIRST_TOKENS,
        "<|turn>",
        "<turn|>",
        "<|image>",
        "<image|>",
        "<|image|>",
        "<|audio>",
        "<audio|>",
        "<|audio|>",
        "<|video|>",
    ),
}

SENTENCES = (
    "A red fox runs over fresh snow while the camera follows it slowly.",
    "Waves break on black rocks at dusk, gulls cry, wind blows through the grass.",
    "An old man in a blue coat reads a letter aloud by the light of a window.",
    "The quick brown dog jumps over a lazy cat in the quiet kitchen.",
    "Describe the scene, the motion, the sound and the style in one paragraph.",
)

# One turn after another, an image where a part of the content says so; as Gemma 3's own, shorter.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

# By the names that processors of transformers ask a tokenizer for.
_IMAGE_TOKENS = {
    GemmaFamily.GEMMA_3: ("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
    GemmaFamily.GEMMA_4: ("<|image>", "<image|>", "<|image|>"),
}


# What the configuration says of an id; the rest take the first ids that are free, in their order.
_IDS: Mapping[GemmaFamily, Mapping[str, str]] = {
    GemmaFamily.GEMMA_3: {
        "<start_of_image>": "boi_token_index",
        "<end_of_image>": "eoi_token_index",
        "<image_soft_token>": "image_token_index",
    },
    GemmaFamily.GEMMA_4: {
        "<|image>": "boi_token_id",
        "<image|>": "eoi_token_id",
        "<|image|>": "image_token_id",
        "<|audio>": "boa_token_id",
        "<audio|>": "eoa_token_index",
        "<|audio|>": "audio_token_id",
        "<|video|>": "video_token_id",
    },
}


def language_files(family: GemmaFamily, config: Mapping[str, Any]) -> dict[str, str]:
    """By name, what a tokenizer of the vocabulary of `config`, and a processor, are read from.

    Gemma 4 has Gemma 3's processor, for its own needs torchvision, which upstream's pipelines do
    not; and no chat template: with LTX-2.5 it only encodes.
    """
    boi, eoi, image = _IMAGE_TOKENS[family]
    side = config["vision_config"].get("image_size", 224)
    tokens = config.get("mm_tokens_per_image", 256)
    chat = {"chat_template": CHAT_TEMPLATE} if family is GemmaFamily.GEMMA_3 else {}
    files: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": {
            "tokenizer_class": "GemmaTokenizer",
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "extra_special_tokens": {"boi_token": boi, "eoi_token": eoi, "image_token": image},
            **chat,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 1024,
        },
        "preprocessor_config.json": {
            "image_processor_type": "Gemma3ImageProcessor",
            "processor_class": "Gemma3Processor",
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_pan_and_scan": False,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "image_seq_length": tokens,
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": side, "width": side},
        },
        "processor_config.json": {
            "processor_class": "Gemma3Processor",
            "image_seq_length": tokens,
        },
    }
    texts = {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}
    # Upstream looks the folder up by this name; transformers reads tokenizer.json beside it.
    texts["tokenizer.model"] = "see tokenizer.json\n"
    texts["tokenizer.json"] = _tokenizer(family, config)
    return texts


def _tokenizer(family: GemmaFamily, config: Mapping[str, Any]) -> str:
    size: int = config["text_config"]["vocab_size"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS[family]),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    ids = {token: config[key] for token, key in _IDS[family].items()}
    if any(tokenizer.token_to_id(token) != number for token, number in ids.items()):
        tokenizer = _renumbered(tokenizer, ids, size)
    text: str = tokenizer.to_str(pretty=True)
    return text


def _renumbered(tokenizer: Tokenizer, ids: Mapping[str, int], size: int) -> Tokenizer:
    """One of `size` tokens with these ids; as in Gemma's own, those that nothing makes are unused.

    So whatever a model with random weights says has a text.
    """
    content = json.loads(tokenizer.to_str())
    learned = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)
    others = [token for token in learned if token not in ids]
    others += [f"<unused{number}>" for number in range(size - len(learned))]
    places = {number: token for token, number in ids.items()}
    rest = iter(others)
    by_id = [places.get(number) or next(rest) for number in range(size)]
    vocabulary = {token: number for number, token in enumerate(by_id)}
    content["model"]["vocab"] = vocabulary
    for added in content["added_tokens"]:
        added["id"] = vocabulary[added["content"]]
    content["added_tokens"].sort(key=lambda added: added["id"])
    return Tokenizer.from_str(json.dumps(content))

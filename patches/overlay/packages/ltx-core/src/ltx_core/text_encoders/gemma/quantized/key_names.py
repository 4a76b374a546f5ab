"""The key names of a Gemma tensor in files of several layouts, and the one name that they share.

The same tensor is `language_model.model.norm.weight` on the hub (Gemma 3), `model.language_model.norm.weight` in what
transformers has written since 4.52 (Gemma 3) and on the hub (Gemma 4), `model.norm.weight` in a packed file whose
language model is flattened for ComfyUI. transformers 5.8 took the segment `vision_model` out of Gemma 3's vision tower.
"""

_OLDER = {
    "model.language_model.": "language_model.model.",
    "model.vision_tower.": "vision_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
_PLAIN = {
    "language_model.model.": "language_model.",
    "vision_tower.vision_model.": "vision_tower.",
    # Gemma 4's embedders: the module tree of transformers 5.14 on the right, without its `multimodal_embedder`.
    "embed_vision.multimodal_embedder.": "embed_vision.",
    "vision_embedder.": "embed_vision.",
    # ComfyUI's names in a packed file.
    "layers.": "language_model.layers.",
    "embed_tokens.": "language_model.embed_tokens.",
    "norm.": "language_model.norm.",
    "vision_model.": "embed_vision.",
    "multi_modal_projector.embedding_projection.": "embed_vision.embedding_projection.",
    "audio_projector.": "embed_audio.",
}
_FLAT_TOWER, _NESTED_TOWER = "vision_tower.", "vision_tower.vision_model."
_LANGUAGE_MODEL = "language_model."
_EMBEDDINGS = "embed_tokens"  # and Gemma 4's embed_tokens_per_layer


def hub_name(name: str) -> str:
    """The name with Gemma 3's vision tower as the hub has it, which upstream's key ops expect."""
    if name.startswith(_FLAT_TOWER) and not name.startswith(_NESTED_TOWER):
        return _NESTED_TOWER + name.removeprefix(_FLAT_TOWER)
    return name


def older_name(name: str) -> str:
    """The name in the key layout of transformers before 4.52, which upstream's key ops for Gemma 3 expect."""
    return _with_prefix_of(_OLDER, name)


def plain_name(name: str) -> str:
    """The one name of a tensor in every layout, and of the parameter of transformers' module that it fills."""
    return _with_prefix_of(_PLAIN, name.removeprefix("model."))


def is_language_linear_weight(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the tensor is the weight of a Linear of the language model: a matrix that embeds no token."""
    plain = plain_name(name)
    is_matrix = len(shape) == 2 and plain.endswith(".weight")
    return is_matrix and plain.startswith(_LANGUAGE_MODEL) and _EMBEDDINGS not in plain


def _with_prefix_of(table: dict[str, str], name: str) -> str:
    for prefix, replacement in table.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name

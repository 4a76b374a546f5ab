"""The hub's names of Gemma 3's tensors, which upstream's key ops expect, for those of other programs.

ComfyUI names the language model `model.*` and the vision tower `vision_model.*` (comfy/text_encoders/llama.py), as
transformers does a language model alone; transformers has had `model.` before everything since 4.52. llama.cpp has
names of its own, a file apart for the vision tower, and stores a norm's weight with the 1 that Gemma adds to it
(gguf-py/gguf/constants.py, TENSOR_NAMES; conversion/gemma.py, Gemma3Model and Gemma3VisionModel).
"""

import re

_LANGUAGE = "language_model.model."
_VISION = "vision_tower.vision_model."
_PROJECTOR = "multi_modal_projector."
_PREFIXES = (
    # The first that fits counts.
    (_LANGUAGE, _LANGUAGE),
    ("model.language_model.", _LANGUAGE),
    ("model.vision_tower.vision_model.", _VISION),
    ("model.vision_tower.", _VISION),
    (_VISION, _VISION),
    ("vision_tower.", _VISION),
    ("vision_model.", _VISION),
    (f"model.{_PROJECTOR}", _PROJECTOR),
    (_PROJECTOR, _PROJECTOR),
    ("model.layers.", f"{_LANGUAGE}layers."),
    ("model.embed_tokens.", f"{_LANGUAGE}embed_tokens."),
    ("model.norm.", f"{_LANGUAGE}norm."),
    ("layers.", f"{_LANGUAGE}layers."),
    ("embed_tokens.", f"{_LANGUAGE}embed_tokens."),
    ("norm.", f"{_LANGUAGE}norm."),
)
_GGUF = {
    "token_embd.weight": f"{_LANGUAGE}embed_tokens.weight",
    "output_norm.weight": f"{_LANGUAGE}norm.weight",
    "mm.input_projection.weight": f"{_PROJECTOR}mm_input_projection_weight",
    "mm.soft_emb_norm.weight": f"{_PROJECTOR}mm_soft_emb_norm.weight",
    "v.position_embd.weight": f"{_VISION}embeddings.position_embedding.weight",
    "v.patch_embd.weight": f"{_VISION}embeddings.patch_embedding.weight",
    "v.patch_embd.bias": f"{_VISION}embeddings.patch_embedding.bias",
    "v.post_ln.weight": f"{_VISION}post_layernorm.weight",
    "v.post_ln.bias": f"{_VISION}post_layernorm.bias",
}
_GGUF_BLOCK = re.compile(r"(v\.)?blk\.(\d+)\.(\w+)\.(weight|bias)")
_GGUF_LANGUAGE = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GGUF_VISION = {
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}
_SWAPPED = {"mlp.fc1": "mlp.fc2", "mlp.fc2": "mlp.fc1"}


def hub_name_of_safetensors(name: str) -> str | None:
    """The hub's name of a tensor of ComfyUI's or transformers'; None for what is no weight of a Gemma 3's own."""
    for prefix, replacement in _PREFIXES:
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return None


def hub_name_of_gguf(name: str, *, swapped: bool = False) -> str | None:
    """The hub's name of a tensor of llama.cpp's; None for what is no weight of a Gemma 3's own.

    `swapped`: the vision tower's two matrices of a block have each other's names, as llama.cpp named them in 2025.
    """
    if (whole := _GGUF.get(name)) is not None:
        return whole
    match = _GGUF_BLOCK.fullmatch(name)
    if match is None:
        return None
    is_vision, number, module, kind = match.groups()
    ours = (_GGUF_VISION if is_vision else _GGUF_LANGUAGE).get(module)
    if ours is None:
        return None
    ours = _SWAPPED.get(ours, ours) if swapped and is_vision else ours
    block = f"{_VISION}encoder.layers." if is_vision else f"{_LANGUAGE}layers."
    return f"{block}{number}.{ours}.{kind}"


def has_shifted_norm(hub: str) -> bool:
    """Whether llama.cpp adds 1 to the tensor that has this name on the hub: each norm but the vision tower's own."""
    return hub.endswith("norm.weight") and not hub.startswith(_VISION)

"""The hub's names of a Gemma's tensors, which upstream's key ops expect, for those of other programs.

ComfyUI names Gemma 3's language model `model.*` and its vision tower `vision_model.*` (comfy/text_encoders/llama.py),
as transformers does a language model alone; transformers has had `model.` before everything since 4.52. llama.cpp has
names of its own for Gemma 3 and 4, a file apart for the vision tower, and stores a norm's weight with the 1 that
Gemma 3 adds to it (gguf-py/gguf/constants.py, TENSOR_NAMES; conversion/gemma.py, Gemma3Model, Gemma3VisionModel and
Gemma4Model).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
# Outside the blocks, and within.
_GGUF_LANGUAGE_OUTSIDE = {
    "token_embd.weight": "embed_tokens.weight",
    "output_norm.weight": "norm.weight",
    "per_layer_token_embd.weight": "embed_tokens_per_layer.weight",
    "per_layer_model_proj.weight": "per_layer_model_projection.weight",
    "per_layer_proj_norm.weight": "per_layer_projection_norm.weight",
}
_GGUF_VISION_OUTSIDE = {
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
    "layer_output_scale": "layer_scalar",
    "inp_gate": "per_layer_input_gate",
    "proj": "per_layer_projection",
    "post_norm": "post_per_layer_input_norm",
}
_BARE = ("layer_scalar",)
"""What the hub names without the `.weight` that llama.cpp gives everything."""
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


@dataclass(frozen=True, slots=True)
class GgufGemma:
    """What llama.cpp's files of one architecture hold."""

    what: str
    model_types: tuple[str, ...]  # of config.json
    language: str  # what the hub's names of the language model begin with
    shifts_norms: bool  # by the 1 that the model adds

    def hub_name(self, name: str, *, swapped: bool = False) -> str | None:
        """The hub's name of a tensor; None for what is no weight of the model's own.

        `swapped`: the vision tower's two matrices of a block have each other's names, as llama.cpp named them in 2025.
        """
        if (outside := _GGUF_LANGUAGE_OUTSIDE.get(name)) is not None:
            return self.language + outside
        match = _GGUF_BLOCK.fullmatch(name)
        if match is None:
            return _GGUF_VISION_OUTSIDE.get(name)
        is_vision, number, module, kind = match.groups()
        ours = (_GGUF_VISION if is_vision else _GGUF_LANGUAGE).get(module)
        if ours is None:
            return None
        ours = _SWAPPED.get(ours, ours) if swapped and is_vision else ours
        block = f"{_VISION}encoder.layers." if is_vision else f"{self.language}layers."
        return f"{block}{number}.{ours}" if ours in _BARE else f"{block}{number}.{ours}.{kind}"

    def is_shifted(self, hub: str) -> bool:
        """Whether 1 was added to the tensor that has this name on the hub: each norm but the vision tower's own."""
        return self.shifts_norms and hub.endswith("norm.weight") and not hub.startswith(_VISION)


_GEMMA_3 = GgufGemma("a Gemma 3", ("gemma3",), _LANGUAGE, shifts_norms=True)
GGUF_GEMMAS: Mapping[str, GgufGemma] = {
    "gemma3": _GEMMA_3,
    "clip": replace(_GEMMA_3, what="a vision tower, as Gemma 3 has one"),
    "gemma4": GgufGemma("a Gemma 4", ("gemma4_unified", "gemma4"), "model.language_model.", shifts_norms=False),
}
"""By the architecture that a file names."""

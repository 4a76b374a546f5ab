"""The linear layers of the transformer's blocks that 8 bits are enough for: those that upstream's fp8-cast takes.

Upstream's list is private (quantization/fp8_cast.py, 400fd31: `_FP8_CAST_LINEAR_SUFFIXES`), so it is stated here; in
its order. Without a dot in front, `ff` is the audio's too.
"""

from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX

_BLOCKS = f"{TRANSFORMER_PREFIX}transformer_blocks."
_LAYERS = (".to_q", ".to_k", ".to_v", ".to_out.0", "ff.net.0.proj", "ff.net.2")
_WEIGHTS = tuple(f"{layer}.weight" for layer in _LAYERS)
_BIASES = tuple(f"{layer}.bias" for layer in _LAYERS)


def is_block_weight(name: str) -> bool:
    """Whether a tensor of upstream's checkpoint is the weight of such a layer."""
    return name.startswith(_BLOCKS) and name.endswith(_WEIGHTS)


def is_block_bias(name: str) -> bool:
    """Whether it is the bias of one, which fp8-cast keeps in fp8 as well."""
    return name.startswith(_BLOCKS) and name.endswith(_BIASES)

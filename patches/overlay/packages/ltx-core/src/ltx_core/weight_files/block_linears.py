"""The linear layers of the transformer's blocks that 8 bits are enough for, by the tensors of upstream's checkpoint."""

from ltx_core.int8.layers import is_of_a_block
from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX


def is_block_weight(name: str) -> bool:
    """Whether a tensor is the weight of such a layer."""
    return _is_of_layer(name, ".weight")


def is_block_bias(name: str) -> bool:
    """Whether it is the bias of one, which fp8-cast keeps in fp8 as well."""
    return _is_of_layer(name, ".bias")


def _is_of_layer(name: str, end: str) -> bool:
    layer = name.removeprefix(TRANSFORMER_PREFIX).removesuffix(end)
    return name == f"{TRANSFORMER_PREFIX}{layer}{end}" and is_of_a_block(layer)

"""One reader of every layout that weight files come in.

weights               a weight as any file holds it: name, shape, layout, values when asked for
safetensors_weights   the weights of safetensors files: ComfyUI's, upstream's, plain ones
gguf_file             the weights of GGUF files, by the library gguf; gguf_header says where they lie
layouts               which tensors make up a weight, told by headers; markers says what ComfyUI's files say of it
dequantization        values of codes and scales; e2m1, e8m0 and swizzle are their parts
stored, header        tensors as they lie in the files
"""

from ltx_core.weight_files.errors import IncompleteModel, UnreadableFile, UnwritableOutput, WeightFileError
from ltx_core.weight_files.weights import INT8_LAYOUTS, Int8Codes, Layout, Weight, Weights

__all__ = [
    "INT8_LAYOUTS",
    "IncompleteModel",
    "Int8Codes",
    "Layout",
    "UnreadableFile",
    "UnwritableOutput",
    "Weight",
    "WeightFileError",
    "Weights",
]

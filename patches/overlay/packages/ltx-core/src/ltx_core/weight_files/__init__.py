"""One reader of every layout that weight files come in, and what writes them as upstream's.

weights               a weight as any file holds it: name, shape, layout, values when asked for
safetensors_weights   the weights of safetensors files: ComfyUI's, upstream's, plain ones
gguf_file             the weights of GGUF files, by the library gguf; gguf_header says where they lie
layouts               which tensors make up a weight, told by headers; markers says what ComfyUI's files say of it
dequantization        values of codes and scales; e2m1, e8m0 and swizzle are their parts
stored, header        tensors as they lie in the files
opening, sources      which of these a path is, and what several give together; diffusers has its names
conversion            a transformer of any of them as upstream's checkpoint: plan says what becomes of a weight,
                      making makes it, output_file writes it, model_parts and released know what a model is made of
lora_conversion       a LoRA of any layout as upstream's
gemma                 a Gemma of any of them as a root that upstream opens; gemma_names knows what each calls a tensor
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

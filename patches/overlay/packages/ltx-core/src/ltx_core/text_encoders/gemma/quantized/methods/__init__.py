"""The quantization methods of Gemma, a module for each stored layout, and their registry.

Importing them imports no bitsandbytes; quantizing a weight, or making a layer, does.
"""

from ltx_core.text_encoders.gemma.quantized.methods.four_bit import FP4, NF4
from ltx_core.text_encoders.gemma.quantized.methods.int8 import INT8
from ltx_core.text_encoders.gemma.quantized.methods.method import Flag, Method, PackedWeight, require_parts

METHODS: tuple[Method, ...] = (NF4, INT8, FP4)

__all__ = ["FP4", "INT8", "METHODS", "NF4", "Flag", "Method", "PackedWeight", "require_parts"]

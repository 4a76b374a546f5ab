"""One reader of every layout that weight files come in, and what writes them in another."""

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

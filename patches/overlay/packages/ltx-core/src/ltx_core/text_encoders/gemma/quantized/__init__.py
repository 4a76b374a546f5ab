"""Gemma in few bits a weight, quantized while its shards are read, or read already quantized.

Importing this imports no bitsandbytes; a load that needs it does.
"""

from ltx_core.text_encoders.gemma.quantized.errors import (
    BitsAndBytesUnavailable,
    GemmaFlagsError,
    GemmaOutputError,
    GemmaQuantizationError,
    GemmaRootError,
)
from ltx_core.text_encoders.gemma.quantized.flags import refuse_gemma_flags
from ltx_core.text_encoders.gemma.quantized.quantization import (
    GemmaQuantization,
    check_gemma_flags,
    gemma_quantization,
    require_unquantized,
)

__all__ = [
    "BitsAndBytesUnavailable",
    "GemmaFlagsError",
    "GemmaOutputError",
    "GemmaQuantization",
    "GemmaQuantizationError",
    "GemmaRootError",
    "check_gemma_flags",
    "gemma_quantization",
    "refuse_gemma_flags",
    "require_unquantized",
]

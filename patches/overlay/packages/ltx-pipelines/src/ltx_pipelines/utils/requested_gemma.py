"""A Gemma root that says how it is to be loaded, where upstream's pipelines hand on a root and nothing else.

That is so from 2026-03-30, when PromptEncoder came, to 2026-08-03. Pipelines come and go between these revisions; as
the flags travel in the root, none can drop them.
"""

import torch

from ltx_core.loader.sd_ops import SDOps
from ltx_core.text_encoders.gemma import EmbeddingsProcessorConfigurator, GemmaTextEncoderConfigurator
from ltx_core.text_encoders.gemma.quantized import (
    GemmaQuantization,
    gemma_quantization,
    refuse_gemma_flags,
    require_unquantized,
)
from ltx_core.text_encoders.gemma.quantized.mode import requested_mode
from ltx_core.text_encoders.gemma.root_config import bound_to_root


class GemmaRoot(str):
    """The path of a Gemma root, with what the flags ask of it."""

    gemma_4bit: bool
    gemma_8bit: bool

    def __new__(cls, path: str, *, gemma_4bit: bool = False, gemma_8bit: bool = False) -> "GemmaRoot":
        """`path`, to be loaded as asked for here, or as it says already. Raises: GemmaFlagsError (both at once)."""
        root = super().__new__(cls, path)
        root.gemma_4bit = gemma_4bit or getattr(path, "gemma_4bit", False)
        root.gemma_8bit = gemma_8bit or getattr(path, "gemma_8bit", False)
        requested_mode(root.gemma_4bit, root.gemma_8bit)
        return root

    def quantization(self, device: torch.device, sd_ops: SDOps) -> GemmaQuantization | None:
        """What `gemma_quantization` says of this root. Raises: GemmaQuantizationError."""
        return gemma_quantization(self, device, sd_ops, gemma_4bit=self.gemma_4bit, gemma_8bit=self.gemma_8bit)

    def refuse_flags(self, reason: str) -> None:
        """No flag is given where `reason` says that none can be taken. Raises: GemmaFlagsError."""
        refuse_gemma_flags(self.gemma_4bit, self.gemma_8bit, reason)


def require_plain(gemma_root: str, reason: str) -> None:
    """The root is neither to be quantized nor so already, where `reason` says why it must not be.

    Raises: GemmaFlagsError, GemmaRootError.
    """
    GemmaRoot(gemma_root).refuse_flags(reason)
    require_unquantized(gemma_root, reason)


def configurators_of(
    gemma_root: str,
) -> tuple[type[GemmaTextEncoderConfigurator], type[EmbeddingsProcessorConfigurator]]:
    """Upstream's two configurators that depend on the Gemma, bound to its root."""
    return (
        bound_to_root(GemmaTextEncoderConfigurator, gemma_root),
        bound_to_root(EmbeddingsProcessorConfigurator, gemma_root),
    )

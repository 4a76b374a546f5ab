"""A Gemma root that says how it is to be loaded, where upstream's pipelines hand on a root and nothing else.

That is so from 2026-03-30, when PromptEncoder came, to 2026-08-03. Pipelines come and go between these revisions; as
the flags travel in the root, none can drop them.
"""

import torch

from ltx_core.loader.sd_ops import SDOps
from ltx_core.text_encoders.gemma import EmbeddingsProcessorConfigurator, GemmaTextEncoderConfigurator
from ltx_core.text_encoders.gemma.quantized import GemmaQuantization, require_unquantized
from ltx_core.text_encoders.gemma.quantized.flags import agreed, asked_method, refuse
from ltx_core.text_encoders.gemma.quantized.methods import Method
from ltx_core.text_encoders.gemma.quantized.quantization import quantization_of
from ltx_core.text_encoders.gemma.root_config import bound_to_root


class GemmaRoot(str):
    """The path of a Gemma root, with what the flags ask of it."""

    asked: Method | None

    def __new__(cls, path: str, *, gemma_4bit: bool = False, gemma_8bit: bool = False) -> "GemmaRoot":
        """`path`, to be loaded as asked for here, or as it says already. Raises: GemmaFlagsError (both at once)."""
        root = super().__new__(cls, path)
        root.asked = agreed(asked_method(gemma_4bit, gemma_8bit), getattr(path, "asked", None))
        return root

    def quantization(self, device: torch.device, sd_ops: SDOps) -> GemmaQuantization | None:
        """What `quantization_of` says of this root. Raises: GemmaQuantizationError."""
        return quantization_of(self, device, sd_ops, self.asked)

    def refuse_flags(self, reason: str) -> None:
        """No flag is given where `reason` says that none can be taken. Raises: GemmaFlagsError."""
        refuse(self.asked, reason)


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

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

    def __new__(cls, path: str | None, *, gemma_4bit: bool = False, gemma_8bit: bool = False) -> "GemmaRoot | None":
        """`path`, to be loaded as asked for here, or as it says already.
        None stays None: a program that brings text embeddings of its own names no root.
        Raises: GemmaFlagsError (both at once, or one without a root).
        """
        asked = agreed(asked_method(gemma_4bit, gemma_8bit), _asked_of(path))
        if path is None:
            refuse(asked, "there is no Gemma root")
            return None
        root = super().__new__(cls, path)
        root.asked = asked
        return root


def requested_quantization(gemma_root: str | None, device: torch.device, sd_ops: SDOps) -> GemmaQuantization | None:
    """What `quantization_of` says of this root, None without one. Raises: GemmaQuantizationError."""
    return None if gemma_root is None else quantization_of(gemma_root, device, sd_ops, _asked_of(gemma_root))


def refuse_flags(gemma_root: str | None, reason: str) -> None:
    """No flag is given where `reason` says that none can be taken. Raises: GemmaFlagsError."""
    refuse(_asked_of(gemma_root), reason)


def require_plain(gemma_root: str | None, reason: str) -> None:
    """The root is neither to be quantized nor so already, where `reason` says why it must not be.

    Raises: GemmaFlagsError, GemmaRootError.
    """
    refuse_flags(gemma_root, reason)
    if gemma_root is not None:
        require_unquantized(gemma_root, reason)


def _asked_of(gemma_root: str | None) -> Method | None:
    return getattr(gemma_root, "asked", None)


def configurators_of(
    gemma_root: str | None,
) -> tuple[type[GemmaTextEncoderConfigurator], type[EmbeddingsProcessorConfigurator]]:
    """Upstream's two configurators that depend on the Gemma, bound to its root."""
    return (
        bound_to_root(GemmaTextEncoderConfigurator, gemma_root),
        bound_to_root(EmbeddingsProcessorConfigurator, gemma_root),
    )

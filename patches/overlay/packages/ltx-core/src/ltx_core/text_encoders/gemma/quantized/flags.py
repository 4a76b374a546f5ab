"""What people ask for, by two flags or keywords: one method, or none."""

from ltx_core.text_encoders.gemma.quantized.errors import GemmaFlagsError
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method


def asked_method(gemma_4bit: bool, gemma_8bit: bool) -> Method | None:
    """The method that the two flags ask for, None for neither. Raises: GemmaFlagsError."""
    return agreed(NF4 if gemma_4bit else None, INT8 if gemma_8bit else None)


def agreed(one: Method | None, other: Method | None) -> Method | None:
    """The one method that is asked for in two places, None if in neither. Raises: GemmaFlagsError (they differ)."""
    if one is not None and other not in (None, one):
        raise GemmaFlagsError(
            f"{NF4.flag.name} and {INT8.flag.name} exclude each other",
            f"give one: {NF4.flag.name} needs the least VRAM, {INT8.flag.name} stays closest to bf16",
        )
    return other if one is None else one


def refuse_gemma_flags(gemma_4bit: bool, gemma_8bit: bool, reason: str) -> None:
    """Neither flag is given where `reason` says that none can be taken. Raises: GemmaFlagsError."""
    refuse(asked_method(gemma_4bit, gemma_8bit), reason)


def refuse(asked: Method | None, reason: str) -> None:
    """No method is asked for where `reason` says that none can be taken. Raises: GemmaFlagsError."""
    if asked is not None:
        raise GemmaFlagsError(f"{asked.flag.name} cannot be taken here: {reason}", "leave the flag out")

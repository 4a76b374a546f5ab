"""Which quantization is meant."""

from enum import Enum

from ltx_core.text_encoders.gemma.quantized.errors import GemmaFlagsError


class Mode(Enum):
    """How the weight of a Linear layer is held; the value is how flags and messages spell it."""

    NF4 = "4bit"  # 4-bit, NF4 or FP4, blocks of 64 with their absmax
    INT8 = "8bit"  # LLM.int8: one int8 row with one scale for each output

    @property
    def flag(self) -> str:
        return f"--gemma-{self.value}"


def requested_mode(gemma_4bit: bool, gemma_8bit: bool) -> Mode | None:
    """The mode that the two flags ask for, None for neither. Raises: GemmaFlagsError."""
    if gemma_4bit and gemma_8bit:
        raise GemmaFlagsError(
            f"{Mode.NF4.flag} and {Mode.INT8.flag} exclude each other",
            f"give one: {Mode.NF4.flag} needs the least VRAM, {Mode.INT8.flag} stays closest to bf16",
        )
    if gemma_4bit:
        return Mode.NF4
    return Mode.INT8 if gemma_8bit else None


def refuse_gemma_flags(gemma_4bit: bool, gemma_8bit: bool, reason: str) -> None:
    """Neither flag is given where `reason` says that none can be taken. Raises: GemmaFlagsError."""
    if (mode := requested_mode(gemma_4bit, gemma_8bit)) is not None:
        raise GemmaFlagsError(f"{mode.flag} cannot be taken here: {reason}", "leave the flag out")

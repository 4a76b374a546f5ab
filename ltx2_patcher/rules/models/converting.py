"""The command that makes, of weights that no pipeline takes, some that one does."""

from __future__ import annotations

from shlex import quote

from ltx2_patcher.rules.models.precision import INT8, UNREADABLE
from ltx2_patcher.values.errors import PatcherError, UsageError
from ltx2_patcher.values.weights import Source

_RUN = "ltx2-patcher run convert --"
PAGES = {
    "Gemma 3": "google/gemma-3-12b-it-qat-q4_0-unquantized on huggingface.co",
    "Gemma 4": "the text encoder that is published beside LTX-2.5",
}
"""Where what lies beside a Gemma's shards can be taken from, the same for each size."""


def refusal_of_source(source: Source, origin: str) -> PatcherError:
    """That no pipeline takes the weights as they are; the remedy is the command for them."""
    match source.kind:
        case _ if source.codes in UNREADABLE:
            remedy = "take the same weights as bf16, fp8 or a GGUF, which `convert` reads"
        case "transformer":
            remedy = checkpoint_from(origin, source.codes)
        case "gemma":
            remedy = root_from(origin, source.model[: len("Gemma 3")])
        case "part":
            remedy = part_with(origin, source.model)
    article = "" if source.kind == "gemma" else "the "
    return UsageError(
        f"{origin} is {article}{source.model} ({source.layout}), which no pipeline takes as it is",
        remedy=remedy,
    )


def checkpoint_from(origin: str, codes: str) -> str:
    """How to make a checkpoint of a transformer."""
    to = "int8" if codes in INT8 else "bf16"
    others = "" if to == "int8" else " (or fp8, int8)"
    return (
        f"make a checkpoint of it: `{_RUN} {quote(origin)} --output OUT.safetensors --to {to}`"
        f"{others}; files of the parts that it lacks go beside it"
    )


def joined_with(origin: str) -> str:
    """How to make one whole checkpoint of a transformer and the files of the other parts."""
    return (
        f"join them: `{_RUN} {quote(origin)} PROJECTION VIDEO_VAE AUDIO_VAE "
        "--output OUT.safetensors --to bf16`"
    )


def root_from(origin: str, family: str) -> str:
    """How to make a root of a Gemma of the family, "Gemma 3", or one file of a Gemma 4."""
    if family == "Gemma 4":
        return (
            f"complete it: `{_RUN} {quote(origin)} TEXT_ENCODER --output OUT.safetensors "
            f"--to 4bit` (or 8bit, bf16), TEXT_ENCODER being the file of {PAGES[family]}"
        )
    return (
        f"make a root of it: `{_RUN} {quote(origin)} GEMMA_ROOT --output OUT --to 4bit` (or 8bit, "
        "bf16), GEMMA_ROOT being a folder with the tokenizer and the settings of "
        f"{PAGES[family]}"
    )


def part_with(origin: str, model: str) -> str:
    """How to use the file of a part: beside the one that lacks it."""
    if model.startswith("vision tower"):
        return (
            f"give it beside its language model: `{_RUN} GEMMA {quote(origin)} GEMMA_ROOT "
            "--output OUT --to 4bit`"
        )
    return (
        f"give it beside its transformer: `{_RUN} TRANSFORMER {quote(origin)} "
        "--output OUT.safetensors --to bf16`"
    )

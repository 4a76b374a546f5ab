"""What a pipeline is asked to do: its command line, and the checks that need no file.

Upstream reports a wrong size or frame count only once models are loaded, or renders less than was
asked for; so it is told before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ltx2_patcher.rules.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError

GemmaFlag = Literal["4bit", "8bit"]

_GEMMA: dict[str, GemmaFlag] = {"--gemma-4bit": "4bit", "--gemma-8bit": "8bit"}
_CHECKPOINT = ("--checkpoint-path", "--distilled-checkpoint-path")
_FIRST_IS_FILE = (
    "--image",
    "--lora",
    "--distilled-lora",
    "--spatial-upsampler-path",
    "--audio-path",
    "--video-path",
    "--video-conditioning",
    "--conditioning-attention-mask",
)
_ALL_ARE_FILES = ("--loras",)


@dataclass(frozen=True, slots=True)
class Request:
    """What a command line names, as far as we check it."""

    checkpoint: str | None
    gemma_root: str | None
    gemma_flag: GemmaFlag | None
    quantization: str | None  # of the transformer, as --quantization has it
    files: tuple[tuple[str, str], ...]  # (option, path) of everything else that must exist
    output: str | None
    asks_help: bool


def parse_request(pipeline: Pipeline, arguments: Sequence[str]) -> Request:
    """Read and check what needs no file.

    Raises: UsageError for both Gemma flags, a frame count that is not 8k+1, or a size that is not
    divisible as the pipeline needs. What we don't know is left to upstream's own parser.
    """
    given = list(_given(pipeline.options, arguments))
    _check_numbers(pipeline, given)
    flags = {_GEMMA[option] for option, _ in given if option in _GEMMA}
    if len(flags) > 1:
        raise UsageError(
            "--gemma-4bit and --gemma-8bit exclude each other",
            remedy="give one: 4-bit takes 7.8 GiB, 8-bit 12.7 GiB and is closer to bf16",
        )
    files = [(option, v[0]) for option, v in given if option in _FIRST_IS_FILE and v]
    files += [(option, path) for option, v in given if option in _ALL_ARE_FILES for path in v]
    last = {option: values[0] for option, values in given if values}
    if any(option == "--enable-fp8" for option, _ in given):
        last["--quantization"] = "fp8-cast"
    return Request(
        checkpoint=next((last[option] for option in _CHECKPOINT if option in last), None),
        gemma_root=last.get("--gemma-root"),
        gemma_flag=next(iter(flags), None),
        quantization=last.get("--quantization"),
        files=tuple(files),
        output=last.get("--output-path"),
        asks_help="--help" in arguments or "-h" in arguments,
    )


def _given(known: frozenset[str], arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with its values, spelled in full.

    As argparse reads them: `--name value`, `--name=value`, and a prefix that only one option has.
    """
    option: str | None = None
    values: list[str] = []
    for argument in arguments:
        if argument.startswith("--"):
            if option is not None:
                yield option, values
            name, equals, value = argument.partition("=")
            option, values = _full_name(known, name), [value] if equals else []
        else:
            values.append(argument)
    if option is not None:
        yield option, values


def _full_name(known: frozenset[str], name: str) -> str:
    if name in known:
        return name
    longer = [option for option in known if option.startswith(name)]
    return longer[0] if len(longer) == 1 else name


def _check_numbers(pipeline: Pipeline, given: Sequence[tuple[str, list[str]]]) -> None:
    numbers = {
        option: int(values[0])
        for option, values in given
        if option in {"--num-frames", "--width", "--height"} and values and _is_int(values[0])
    }
    frames = numbers.get("--num-frames", 1)
    if frames < 1 or frames % 8 != 1:
        below = max(1, (frames - 1) // 8 * 8 + 1)
        raise UsageError(
            f"--num-frames {frames} is not of the form 8k+1",
            remedy=f"give {below} or {below + 8}",
        )
    if (divisor := pipeline.divisor) is None:
        return
    for option in ("--width", "--height"):
        size = numbers.get(option, divisor)
        if size < divisor or size % divisor:
            below = max(divisor, size // divisor * divisor)
            raise UsageError(
                f"{option} {size} is not divisible by {divisor}, as {pipeline.name} needs",
                remedy=f"give {below} or {below + divisor}",
            )


def _is_int(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False  # upstream's own parser says it better
    return True

"""What a pipeline is asked to do: its command line, and the checks that need no file.

Upstream reports a wrong size or frame count only once models are loaded, or renders less than was
asked for; so it is told before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError

GemmaFlag = Literal["4bit", "8bit"]

_GEMMA: dict[str, GemmaFlag] = {"--gemma-4bit": "4bit", "--gemma-8bit": "8bit"}
_CHECKPOINT = ("--checkpoint-path", "--distilled-checkpoint-path")
_SPLIT = (
    "--transformer-path",
    "--text-encoder-path",
    "--video-vae-path",
    "--audio-vae-path",
    "--duration-head-path",
)
_IN_BOTH = "--video-vae-path"  # it may also take the place of a whole checkpoint's own
_FIRST_IS_FILE = (
    "--image",
    "--lora",
    "--distilled-lora",
    "--detailing-lora",
    "--hdr-lora",
    "--text-embeddings",
    "--spatial-upsampler-path",
    "--temporal-upsampler-path",
    "--audio-path",
    "--video-path",
    "--video-conditioning",
    "--reference-video",
    "--conditioning-attention-mask",
)
_ALL_ARE_FILES = ("--loras",)
_MAY_BE_FRAMES = ("--video-path", "--video-conditioning")  # a folder of *.exr, with --hdr


@dataclass(frozen=True, slots=True)
class Request:
    """What a command line names, as far as we check it."""

    checkpoint: str | None  # a whole one
    split: Mapping[str, str]  # option -> file, of a model in a file a part
    gemma_root: str | None
    enhancer_root: str | None  # another Gemma, for --enhance-prompt
    enhances: bool
    gemma_flag: GemmaFlag | None
    quantization: str | None  # of the transformer
    frames: bool  # a clip's length is given
    files: tuple[tuple[str, str], ...]  # (option, path) of everything else that must exist
    folders: tuple[tuple[str, str], ...]  # (option, path): a folder serves as well as a file
    output: str | None
    asks_help: bool

    @property
    def transformer(self) -> str | None:
        """The file that holds the transformer."""
        return self.checkpoint or self.split.get("--transformer-path")

    @property
    def text_encoder(self) -> tuple[str, str] | None:
        """The option and the root or packed file that hold the Gemma."""
        packed = self.split.get("--text-encoder-path")
        if self.gemma_root is not None:
            return "--gemma-root", self.gemma_root
        return None if packed is None else ("--text-encoder-path", packed)


def parse_request(pipeline: Pipeline, arguments: Sequence[str]) -> Request:
    """Read and check what needs no file.

    Raises: UsageError for both Gemma flags, a frame count that is not 8k+1, a size that is not
    divisible as the pipeline needs, a split model with a part left out, or an offload that upstream
    does not offer for the quantization. What we don't know is left to upstream's own parser.
    """
    given = list(given_options(pipeline.options, arguments))
    last = {option: values[0] for option, values in given if values}
    named = {option for option, _ in given}
    flags = {_GEMMA[option] for option in named & _GEMMA.keys()}
    frames = "--hdr" in pipeline.options
    found = Request(
        checkpoint=next((last[option] for option in _CHECKPOINT if option in last), None),
        split={option: last[option] for option in _SPLIT if option in last},
        gemma_root=last.get("--gemma-root"),
        enhancer_root=last.get("--prompt-enhancer-gemma-root"),
        enhances="--enhance-prompt" in named,
        gemma_flag=next(iter(flags), None),
        quantization="fp8-cast" if "--enable-fp8" in named else last.get("--quantization"),
        frames="--num-frames" in last,
        files=tuple(_files(given, lambda option: not (frames and option in _MAY_BE_FRAMES))),
        folders=tuple(_files(given, lambda option: frames and option in _MAY_BE_FRAMES)),
        output=last.get("--output-path"),
        asks_help="--help" in arguments or "-h" in arguments,
    )
    if not found.asks_help:
        _check_numbers(pipeline, given)
        _check_flags(flags)
        _check_split(pipeline, found)
        _check_offload(last.get("--offload"), found.quantization)
    return found


def _files(
    given: Sequence[tuple[str, list[str]]], wanted: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    for option, values in given:
        if wanted(option):
            if option in _ALL_ARE_FILES:
                yield from ((option, path) for path in values)
            elif option in _FIRST_IS_FILE and values:
                yield option, values[0]


def _check_flags(flags: set[GemmaFlag]) -> None:
    if len(flags) > 1:
        raise UsageError(
            "--gemma-4bit and --gemma-8bit exclude each other",
            remedy="give one: 4-bit takes 7.8 GiB, 8-bit 12.7 GiB and is closer to bf16",
        )


def _check_split(pipeline: Pipeline, found: Request) -> None:
    """A split model is whole: upstream looks for a part only when it is about to load it."""
    if found.checkpoint or found.gemma_root or not found.split.keys() - {_IN_BOTH}:
        return  # whole, or neither: its parser says so
    for option in _SPLIT:
        if option in pipeline.parts and option not in found.split:
            raise UsageError(
                f"{pipeline.name} needs {option} too, beside {', '.join(found.split)}",
                remedy="give a file for each part of the model",
            )


def _check_offload(offload: str | None, quantization: str | None) -> None:
    if offload in {None, "none"} or quantization in {None, "fp8-cast"}:
        return
    raise UsageError(
        f"--offload {offload} can't be had with --quantization {quantization}",
        remedy="give --quantization fp8-cast or none, or leave --offload out",
    )


def given_options(
    known: frozenset[str], arguments: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
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

"""What of a request can be told wrong without a file.

Upstream reports a wrong number only once models are loaded, or renders something else than was
asked for; so it is told before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from ltx2_patcher.rules.models.options import FILES, PARTS
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.request import InputFile, Request, Value

FRAME_STEP = 8
"""Upstream takes 8k + 1 frames: the video VAE joins 8 into one of its own."""
_SEEDS = range(-(2**63), 2**64)  # what torch's Generator.manual_seed takes
_FEWEST_STEPS = 2  # LTX2Scheduler: 1 gives the sigmas 0.1, 0 and not 1, 0
_MOST = 10**6  # of frames, or of pixels a side
_FASTEST = 1000  # frames a second
_SOUND_RATE = 25  # latents a second: 16 kHz by a hop of 160 and the audio VAE's 4 (types.py)
_TOKENS = 1024  # TOKENIZER_MAX_LENGTH of gemma_assets.py; what is over it is cut off at the end
_DISTILLED = "--distilled-checkpoint-path"
_GUIDANCE = "cfg-guidance-scale"
_CRFS = range(52)  # of libx264 in 8 bits

_TWO_STAGES = 64  # what width and height of such a pipeline are divisible by
_TEXT = "prompt"  # how the options end that take text of any kind

_IN_BOTH = "--video-vae-path"  # it may also take the place of a whole checkpoint's own


def check_numbers(pipeline: Pipeline, request: Request) -> None:
    """Raises: UsageError for a frame count that is not 8k+1, a size that is not divisible as the
    pipeline needs, a frame rate, a seed or a file's number out of its range, a number that is not
    finite, a split model with a part left out, or an offload that upstream does not offer for the
    quantization.
    """
    for option, number in (
        ("--num-frames", request.frames),
        ("--width", request.width),
        ("--height", request.height),
    ):
        if number is not None and number > _MOST:
            raise UsageError(f"{option} {number} is more than any card holds", remedy="give less")
    _check_frames(request.frames)
    _check_rate(request.frame_rate)
    _check_seconds(request.frames, request.frame_rate)
    _check_seed(request.seed)
    if request.steps is not None and request.steps < _FEWEST_STEPS:
        raise UsageError(
            f"--num-inference-steps {request.steps} would leave noise: upstream's schedule begins "
            f"at its end with fewer than {_FEWEST_STEPS}",
            remedy="give the steps of the guided stage, or leave it out for upstream's own number",
        )
    for file in request.files:
        _check_file(file, request.frames)
    if (divisor := pipeline.divisor) is not None:
        for option, size in (("--width", request.width), ("--height", request.height)):
            _check_size(pipeline, option, size, divisor)
    _check_single_value(pipeline, request)
    _check_parts(pipeline, request)
    _check_offload(request)
    for option, values in request.others:
        _check_finite(option, values)


def cautions(pipeline: Pipeline, request: Request) -> Iterator[Finding]:
    """What can be meant, and mostly is not."""
    if (checkpoint := request.transformer) is not None:
        yield from _of_the_other_kind(pipeline, checkpoint.name)
    if request.prompt is not None and not request.prompt.strip():
        yield Finding(
            "prompt", Level.WARNING, "the prompt is empty", "say what shall be seen and heard"
        )
    for file in request.files:
        if file.option == "--image" and file.numbers[0] < 0:
            yield Finding(
                "image",
                Level.WARNING,
                f"--image {file.path} stands at frame {file.numbers[0]}, before the clip begins",
                "give the index of a frame, 0 for the first, where the picture shall be seen",
            )


def _of_the_other_kind(pipeline: Pipeline, name: str) -> Iterator[Finding]:
    """A dev model in a script for distilled ones, or the reverse.

    Told by the names that they are published under: no header differs.
    """
    is_distilled, is_dev = "-distilled" in name, "-dev" in name
    if is_dev and not is_distilled and pipeline.checkpoint == _DISTILLED:
        yield Finding(
            "checkpoint",
            Level.WARNING,
            f"{name} is named as a dev model, and {pipeline.name} takes the few steps of a "
            "distilled one: expect noise",
            "give the distilled checkpoint, or the dev model to ti2vid_two_stages",
        )
    guided = any(option.endswith(_GUIDANCE) for option in pipeline.options)
    if is_distilled and not is_dev and guided and pipeline.checkpoint != _DISTILLED:
        yield Finding(
            "checkpoint",
            Level.WARNING,
            f"{name} is named as a distilled model, and {pipeline.name} guides a dev model: "
            "expect burnt colours",
            "give the dev checkpoint, or this one to distilled",
        )


def may_be_cut(prompt: str | None) -> bool:
    """Whether it can have more tokens than Gemma is given: no token is shorter than a byte."""
    return prompt is not None and len(prompt.encode()) >= _TOKENS


def caution_of_length(tokens: int | None) -> Finding | None:
    """What is told of a prompt of so many tokens; None where all of it is read."""
    if tokens is None or tokens <= _TOKENS:
        return None
    return Finding(
        "prompt",
        Level.WARNING,
        f"the prompt has {tokens} tokens, and only the first {_TOKENS} are read",
        "shorten it, or put what matters first",
    )


def _check_frames(frames: int | None) -> None:
    if frames is None or (frames > 0 and frames % FRAME_STEP == 1):
        return
    below = max(1, (frames - 1) // FRAME_STEP * FRAME_STEP + 1)
    raise UsageError(
        f"--num-frames {frames} is not of the form 8k+1",
        remedy=f"give {below} or {below + FRAME_STEP}",
    )


def _check_rate(rate: float | None) -> None:
    if rate is not None and not 0 < rate <= _FASTEST:
        raise UsageError(
            f"--frame-rate {rate} is no rate",
            remedy="give the frames of a second, for example 24",
        )


def _check_seconds(frames: int | None, rate: float | None) -> None:
    if frames is None or rate is None or 2 * _SOUND_RATE * frames > rate:  # it rounds halves down
        return
    raise UsageError(
        f"--num-frames {frames} at --frame-rate {rate:g} last {frames / rate:.2g} s, in which the "
        "model makes no sound, and fails",
        remedy="give more frames, or fewer a second, for example 24",
    )


def _check_seed(seed: int | None) -> None:
    if seed is not None and seed not in _SEEDS:
        raise UsageError(
            f"--seed {seed} has more than 64 bits",
            remedy=f"give a whole number from 0 to {_SEEDS[-1]}",
        )


def _check_file(file: InputFile, frames: int | None) -> None:
    behind = FILES.get(file.option)
    if behind is None:
        return  # one of a list, which takes no numbers
    names = (*behind.needed, *behind.optional)
    if not len(behind.needed) <= len(file.numbers) <= len(names):
        form = " ".join((file.option, "PATH", *behind.needed, *(f"[{n}]" for n in behind.optional)))
        raise UsageError(
            f"{file.option} {file.path}: {len(file.numbers)} numbers stand behind the path",
            remedy=f"give {form}",
        )
    for name, number in zip(names, file.numbers, strict=False):
        if wanted := _wanted(name, number, frames, strict=_GUIDING in behind.needed):
            raise UsageError(
                f"{file.option} {file.path}: {name} {number} is not {wanted}",
                remedy=f"give {name} as {wanted}",
            )


_GUIDING = "STRENGTH"  # where it must be given it is a share; a LoRA's may be any number


def _wanted(name: str, number: float, frames: int | None, *, strict: bool) -> str | None:
    """What the number should be, None where it is that."""
    if name == "FRAME_IDX":
        # Upstream takes indices before the first frame, as `cautions` says.
        if not isinstance(number, int):
            return "the index of a frame, 0 for the first"
        if frames is not None and number >= frames:
            return f"the index of one of the {frames} frames, 0 to {frames - 1}"
    if name == "CRF" and number not in _CRFS:
        return f"a whole number from 0 to {_CRFS[-1]}"
    if name == "STRENGTH" and strict and not 0 <= number <= 1:
        return "a number from 0 to 1"
    return None


def _check_size(pipeline: Pipeline, option: str, size: int | None, divisor: int) -> None:
    if size is None or (size >= divisor and size % divisor == 0):
        return
    below = max(divisor, size // divisor * divisor)
    raise UsageError(
        f"{option} {size} is not divisible by {divisor}, as {pipeline.name} needs",
        remedy=f"give {below} or {below + divisor}",
    )


def _check_single_value(pipeline: Pipeline, request: Request) -> None:
    """Upstream's upsampler normalizes over the first stage's values, of which it needs several."""
    smallest = (_TWO_STAGES, _TWO_STAGES, 1)
    if pipeline.divisor == _TWO_STAGES and smallest == (
        request.width,
        request.height,
        request.frames,
    ):
        raise UsageError(
            f"one frame of {_TWO_STAGES}x{_TWO_STAGES} is a single value to {pipeline.name}'s "
            "first stage, which can't be upsampled",
            remedy=f"give --num-frames {1 + FRAME_STEP}, or a larger size",
        )


def _check_finite(option: str, values: Sequence[Value]) -> None:
    """With nan or inf among a guidance's numbers a clip is black, without a word."""
    if option.endswith(_TEXT):
        return
    for value in values:
        try:
            finite = isfinite(float(value))
        except (ValueError, OverflowError):
            continue  # no number at all: upstream's parser tells
        if not finite:
            raise UsageError(
                f"{option}: {value} is no number", remedy=f"give {option} a finite number"
            )


def _check_parts(pipeline: Pipeline, request: Request) -> None:
    """A split model is whole: upstream looks for a part only when it is about to load it."""
    if request.checkpoint or request.gemma_root or not request.parts.keys() - {_IN_BOTH}:
        return  # whole, or neither: its parser says so
    for option in PARTS:
        if option in pipeline.parts and option not in request.parts:
            raise UsageError(
                f"{pipeline.name} needs {option} too, beside {', '.join(request.parts)}",
                remedy="give a file for each part of the model",
            )


def _check_offload(request: Request) -> None:
    if request.offload is None or request.quantization in {None, "fp8-cast"}:
        return
    raise UsageError(
        f"--offload {request.offload} can't be had with --quantization {request.quantization}",
        remedy="give --quantization fp8-cast or none, or leave --offload out",
    )

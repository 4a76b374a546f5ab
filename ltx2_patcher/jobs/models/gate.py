"""The one gate for a clip's request: whatever can be told wrong before a model is loaded.

`run`, `verify` and whoever takes requests from elsewhere hand it a Request and the Target that it
shall run on. Files are judged by their headers alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar, cast

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.environment import describe
from ltx2_patcher.boundaries.machine import Gpu, mappable_bytes, memory
from ltx2_patcher.boundaries.pictures import faults_of_pictures
from ltx2_patcher.boundaries.sounds import sounds_of
from ltx2_patcher.boundaries.tokens import tokens_of
from ltx2_patcher.boundaries.weights import read_header
from ltx2_patcher.jobs.models.inspect import described, inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.rules.models.budget import FULL_SIZE_ELEMENTS, savings_of, transformer_needs
from ltx2_patcher.rules.models.capability import refusal_of_cards
from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, Card, whole_card
from ltx2_patcher.rules.models.forecast import require_fit
from ltx2_patcher.rules.models.frame_rate import caution_of_rate, caution_of_video_rate
from ltx2_patcher.rules.models.lora import (
    LoraNames,
    Widths,
    cautions_of_lora,
    modules_of,
    refusal_of_layout,
    refusal_of_lora,
    refusal_of_paths,
    refusal_of_rest,
)
from ltx2_patcher.rules.models.mapping import refusal_of_mapping
from ltx2_patcher.rules.models.measured import Measured, of_base
from ltx2_patcher.rules.models.options import FRAME_FOLDERS, LORAS, SUFFIXES
from ltx2_patcher.rules.models.pairing import (
    UPSAMPLERS,
    refusal_of_checkpoint,
    refusal_of_codes,
    refusal_of_encoder,
    refusal_of_enhancer,
    refusal_of_gemma,
    refusal_of_pair,
    refusal_of_part,
    refusal_of_quantization,
    refusal_of_scale,
    refusal_of_upsampler,
)
from ltx2_patcher.rules.models.parked import parked_bytes, refusal_of_host, refusal_of_parking
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.precision import FP8
from ltx2_patcher.rules.models.request_checks import (
    caution_of_length,
    cautions,
    check_numbers,
    may_be_cut,
)
from ltx2_patcher.rules.models.sound import (
    SOUNDS,
    VIDEOS,
    Sound,
    refusal_of_sound,
    refusal_of_video,
)
from ltx2_patcher.rules.models.workload import workload_of
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, OutsideError, PatcherError, UsageError
from ltx2_patcher.values.finding import Finding
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import (
    Checkpoint,
    GemmaRoot,
    Header,
    Lora,
    ModelPart,
    Upsampler,
    Weights,
)


@dataclass(frozen=True, slots=True)
class Budget:
    """A card that a request is held to, and what was measured on such cards."""

    card: Card
    gpu: Gpu | None  # that stands in for it, or is it
    measured: tuple[Measured, ...] = ()
    may_exceed: bool = False  # more may be asked than it holds, as a search does


@dataclass(frozen=True, slots=True)
class Target:
    """What a request runs on."""

    pipeline: Pipeline
    abilities: Abilities  # of the upstream that holds the pipeline
    others: tuple[Abilities, ...]  # of the bases that a remedy may name instead
    python: Path  # of the environment
    lora_names: LoraNames  # what its loader reads
    gpus: tuple[Gpu, ...] = ()  # the script may take any; empty where there is none
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may run."""

    request: Request
    checkpoint: Checkpoint | None  # the model that its files hold; None where it names none
    warnings: tuple[Finding, ...] = ()  # what can be meant, and mostly is not


class Looked:
    """What was found outside for the requests of one target: each file is read once, and each
    question to its environment asked once, however many name it.

    It is of a moment: who looks again later makes another.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._found: dict[Hashable, object] = {}

    def ahead(self, requests: Iterable[Request]) -> None:
        """Ask the environment all at once for what these requests will need of it.

        Raises: UsageError or OutsideError where it can't be started.
        """
        several = list(requests)
        self.installed()
        pictures = [path for request in several for path in _stills(request, self._target)]
        self.pictures([path for path in dict.fromkeys(pictures) if _is_file(path)])
        self.sounds([path.absolute() for request in several for _, path in _sounding(request)])
        prompts: dict[Path, list[str]] = {}
        for request in several:
            if request.text_encoder is not None and may_be_cut(request.prompt):
                prompts.setdefault(request.text_encoder[1], []).append(str(request.prompt))
        for root, texts in prompts.items():
            self.tokens(root, texts)

    def weights(self, path: Path) -> Weights:
        """As `inspect`."""
        return self._once((inspect, path), lambda: inspect(path))

    def checkpoint(self, path: Path) -> Checkpoint:
        """As `inspect_checkpoint`."""
        return self._once((inspect_checkpoint, path), lambda: inspect_checkpoint(path))

    def gemma(self, root: Path) -> GemmaRoot:
        """As `inspect_gemma`."""
        return self._once((inspect_gemma, root), lambda: inspect_gemma(root))

    def header(self, path: Path) -> Header:
        """As `read_header`."""
        return self._once((read_header, path), lambda: read_header(path))

    def modules(self, checkpoint: Path) -> Mapping[str, Widths]:
        """What of a checkpoint a LoRA can change."""
        return self._once(
            (modules_of, checkpoint), lambda: modules_of(self.header(checkpoint).tensors)
        )

    def installed(self) -> Mapping[str, str]:
        """The distributions of the environment."""
        return self._once(describe, lambda: describe(self._target.python).installed())

    def pictures(self, paths: Sequence[Path]) -> list[str | None]:
        """What is wrong with each."""
        python = self._target.python
        return self._each(faults_of_pictures, paths, lambda new: faults_of_pictures(python, new))

    def sounds(self, paths: Sequence[Path]) -> list[Sound | None]:
        """The sound of each; None where the environment can't tell."""
        return self._each(sounds_of, paths, lambda new: sounds_of(self._target.python, new))

    def tokens(self, root: Path, prompts: Sequence[str]) -> list[int | None]:
        """How many each prompt has."""
        python = self._target.python
        return self._each((tokens_of, root), prompts, lambda new: tokens_of(python, root, new))

    def _once(self, key: Hashable, look: Callable[[], Found]) -> Found:
        """What `look` finds, or the error that it raises, at its first call and at each after."""
        if key not in self._found:
            try:
                self._found[key] = look()
            except PatcherError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, PatcherError):
            raise found
        return cast("Found", found)

    def _each(
        self,
        kind: Hashable,
        things: Sequence[Thing],
        look: Callable[[Sequence[Thing]], Sequence[Found | None]],
    ) -> list[Found | None]:
        """As `_once`, asking for all that are new together; None for those without an answer."""
        new = [thing for thing in dict.fromkeys(things) if (kind, thing) not in self._found]
        if new:
            told = dict(zip(new, look(new), strict=False))
            self._found.update({(kind, thing): told.get(thing) for thing in new})
        return [cast("Found | None", self._found[kind, thing]) for thing in things]


Found = TypeVar("Found")
Thing = TypeVar("Thing", Path, str)


def admit(request: Request, target: Target, looked: Looked | None = None) -> Admitted:
    """Check the request in every point that can be told before a model is loaded.

    Raises: UsageError for what can't work; ConflictError for files that don't go together or an
    environment that lacks something; InvalidError for broken files; OutsideError where a budget
    can't be held on this machine.

    `looked` is what the requests before this one had read, for those that come together.
    """
    looked = looked or Looked(target)
    request = at_home(request)
    check_numbers(target.pipeline, request)
    gpus = [(gpu.name, gpu.capability) for gpu in target.gpus]
    _refuse(refusal_of_quantization(request.quantization, target.abilities, target.others))
    _refuse(refusal_of_cards(request.quantization, gpus))
    _refuse(refusal_of_paths(request, target.abilities, target.others))
    _refuse(refusal_of_parking(target.pipeline, request, target.abilities, target.others))
    _check_places(request, target.pipeline, looked)
    checkpoint = None
    warnings = tuple(cautions(target.pipeline, request))
    warnings += _told(
        caution_of_rate(target.pipeline, request.frame_rate, target.abilities, target.others)
    )
    quantized = False
    if request.transformer is not None:  # without one the script says itself what it takes
        checkpoint = _checkpoint(request, target, looked)
        warnings += _check_loras(request, checkpoint, target, looked)
        _check_upsamplers(request, checkpoint, looked)
        _check_length(request, target, checkpoint, looked)
        quantized = _check_gemmas(request, checkpoint, target, looked)
    _check_environment(target, looked, needs_bitsandbytes=quantized)
    _check_pictures(request, target, looked)
    warnings += _check_sounds(request, target, looked)
    warnings += _check_prompt(request, looked)
    if target.budget is not None:
        _check_budget(request, target, target.budget, checkpoint)
    return Admitted(request, checkpoint, warnings)


def make_output_folder(request: Request) -> None:
    """Make the folder of an admitted request's clip, as upstream does from 2026-08-11 on; a file
    can be written there.

    Raises: OutsideError where that fails.
    """
    if request.output is not None:
        folder = request.output.parent
        with disk.translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()  # of some places no access rights tell


def require_room(gpu: Gpu | None, card: Card) -> Gpu:
    """The GPU, where such a card's memory is free on it. Raises: OutsideError."""
    if gpu is None:
        raise OutsideError(
            "there is no GPU that a budget could be held on",
            remedy="use a machine with one; without --budget, seconds and host memory are measured",
        )
    if gpu.total_bytes < card.usable_bytes:
        raise OutsideError(
            f"{gpu.name} has {gpu.total_bytes / GIB:.1f} GiB, less than a card of {card.name}",
            remedy=f"give --budget {whole_card(gpu.total_bytes).name}",
        )
    if gpu.free_bytes < card.allocator_bytes + CONTEXT_BYTES:
        held = gpu.total_bytes - gpu.free_bytes
        raise OutsideError(
            f"other processes hold {held / GIB:.1f} GiB of {gpu.name}, and the "
            f"{gpu.free_bytes / GIB:.1f} GiB left are less than a card of {card.name} offers",
            remedy="end them (`nvidia-smi` lists them), or give a smaller --budget",
        )
    return gpu


def _check_places(request: Request, pipeline: Pipeline, looked: Looked) -> None:
    """Each file is there and of its option's kind, and the clip has a place."""
    # Upstream opens the clip's file only once it is rendered.
    if request.output is not None:
        _check_output(request.output, pipeline)
    named = [(file.option, file.path) for file in request.files]
    if request.calibration is not None:
        named.append(("--quantization", request.calibration))
    for option, path in named:
        with disk.translated(path, reading=True):
            frames = option in FRAME_FOLDERS and "--hdr" in pipeline.options and path.is_dir()
            if not path.is_file() and not frames:
                raise UsageError(f"{option}: there is no file {path}", remedy="check the path")
        _check_kind(option, path, looked)
        if request.output is not None and _is_same(request.output, path):
            raise UsageError(
                f"--output-path: {path} is what {option} names too, and the clip would take its "
                "place",
                remedy="choose another place for the clip",
            )


def _is_same(output: Path, path: Path) -> bool:
    """Whether both are one file, by whatever names and links."""
    with disk.translated(output):
        place = output.resolve()  # as upstream names it
        return place.exists() and place.samefile(path)


def _check_output(path: Path, pipeline: Pipeline) -> None:
    """A file with a suffix that tells its format, in a folder that is there or can be made."""
    with disk.translated(path):
        if path.is_dir():
            raise UsageError(
                f"--output-path: {path} is a folder",
                remedy=f"give a file in it: {path / 'clip.mp4'}",
            )
        if path.is_symlink() and not path.exists():
            raise UsageError(
                f"--output-path: {path} is a link that leads nowhere",
                remedy="remove it, or choose another place for the clip",
            )
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise UsageError(
                f"--output-path: {path} is no file that you can write to",
                remedy="choose another place for the clip",
            )
        taken = SUFFIXES[pipeline.makes]
        if taken and path.suffix.lower() not in taken:
            suffix = f"ends in {path.suffix}" if path.suffix else "has no suffix"
            raise UsageError(
                f"--output-path: {path} {suffix}, and upstream tells the format by it",
                remedy=f"let it end in {taken[0]}",
            )
        folder = next(above for above in path.absolute().parents if above.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(
                f"--output-path: {folder} is no folder that you can write to",
                remedy="choose another place for the clip",
            )


def _check_kind(option: str, path: Path, looked: Looked) -> None:
    wanted = _KINDS.get(option)
    if path.suffix != ".safetensors" or wanted is None:
        return
    weights = looked.weights(path)
    if not isinstance(weights, wanted):
        raise UsageError(
            f"{option}: {path} is {described(weights)}", remedy="check which file goes where"
        )


_KINDS = {
    **dict.fromkeys(LORAS, Lora),
    **dict.fromkeys(UPSAMPLERS, Upsampler),
}
_PART_KINDS = {
    "--video-vae-path": "video VAE",
    "--audio-vae-path": "audio VAE",
    "--duration-head-path": "duration head",
}


def _checkpoint(request: Request, target: Target, looked: Looked) -> Checkpoint:
    name = str(request.transformer)
    checkpoint = looked.checkpoint(Path(name))
    if checkpoint.whole and "--video-vae-path" in request.parts:  # takes the place of its own
        missing = tuple(key for key in checkpoint.missing if not key.startswith("vae."))
        checkpoint = replace(checkpoint, missing=missing)
    _refuse(refusal_of_checkpoint(checkpoint, target.abilities, target.others, name))
    _refuse(refusal_of_mapping(checkpoint.bytes, mappable_bytes(), name))
    if request.checkpoint is not None and not checkpoint.whole:
        raise UsageError(
            f"{name} is the transformer of {checkpoint.variant} alone",
            remedy="give it with --transformer-path, beside the files of the other parts",
        )
    cast = " ".join(savings_of(target.pipeline.options).cast)
    _refuse(refusal_of_codes(checkpoint, request.quantization, cast, target.abilities))
    return checkpoint


def _check_loras(
    request: Request, checkpoint: Checkpoint, target: Target, looked: Looked
) -> tuple[Finding, ...]:
    """What the LoRAs will lack of their effect; each has some."""
    files = [file for file in request.files if file.option in LORAS]
    if not files:
        return ()
    transformer = Path(str(request.transformer))
    tensors, modules = looked.header(transformer).tensors, looked.modules(transformer)
    plain = checkpoint.precision == FP8 and request.quantization is None
    cast = " ".join(savings_of(target.pipeline.options).cast)
    warnings: list[Finding] = []
    for file in files:
        lora = looked.weights(file.path)
        if isinstance(lora, Lora):
            names, origin = target.lora_names, str(file.path)
            given = (lora, modules, names, checkpoint.variant, origin)
            _refuse(refusal_of_lora(*given))
            _refuse(refusal_of_layout(lora, modules, names, target.abilities, origin))
            if plain and file.numbers[:1] != (0,):  # of strength 0 it is left out
                _refuse(refusal_of_rest(lora, tensors, names, cast, origin))
            warnings += cautions_of_lora(*given)
    return tuple(warnings)


def _check_upsamplers(request: Request, checkpoint: Checkpoint, looked: Looked) -> None:
    for file in request.files:
        if file.option not in UPSAMPLERS:
            continue
        if isinstance(upsampler := looked.weights(file.path), Upsampler):
            _refuse(refusal_of_scale(upsampler, file.option, str(file.path)))
            _refuse(refusal_of_upsampler(checkpoint, upsampler, str(file.path)))


def _check_length(request: Request, target: Target, checkpoint: Checkpoint, looked: Looked) -> None:
    """Parts are whole, and one of them tells the length where the request does not."""
    for option, kind in _PART_KINDS.items():
        if (path := request.parts.get(option)) is None:
            continue
        part = looked.weights(path)
        # A whole checkpoint holds each part, so upstream takes it for any.
        if isinstance(part, Checkpoint) and part.whole:
            continue
        if not isinstance(part, ModelPart) or part.kind != kind:
            raise UsageError(
                f"{option}: {path} is {described(part)}", remedy="check which file goes where"
            )
        _refuse(refusal_of_part(part, target.abilities, target.others, str(path)))
    has_head = "--duration-head-path" in request.parts or checkpoint.elements_of("duration head")
    if target.pipeline.tells_length and request.frames is None and not has_head:
        raise UsageError(
            f"{request.pipeline} needs --num-frames: {request.transformer} has no duration head to "
            "tell the clip's length",
            remedy="give --num-frames, for example 121",
        )


def _check_gemmas(request: Request, checkpoint: Checkpoint, target: Target, looked: Looked) -> bool:
    """Whether one of them is or will be quantized."""
    if request.text_encoder is None:
        return False
    option, path = request.text_encoder
    encoder = looked.gemma(path)
    able, others = target.abilities, target.others
    _refuse(refusal_of_gemma(encoder, request.gemma, able, others, str(path)))
    _refuse(refusal_of_encoder(encoder, str(path)))
    _refuse(refusal_of_pair(checkpoint, encoder))
    gemmas = [encoder]
    if request.enhancer_root is not None:
        option, path = "--prompt-enhancer-gemma-root", request.enhancer_root
        gemmas.append(looked.gemma(path))
        _refuse(refusal_of_gemma(gemmas[-1], request.gemma, able, others, str(path)))
    if request.enhances:
        _refuse(refusal_of_enhancer(gemmas[-1], option, str(path)))
    if request.vram_budget is not None:
        free = memory().available_bytes
        _refuse(refusal_of_host(parked_bytes(request, checkpoint, encoder), free))
    return bool(request.gemma or any(gemma.quantization for gemma in gemmas))


def _check_environment(target: Target, looked: Looked, *, needs_bitsandbytes: bool) -> None:
    pipeline, python = target.pipeline, target.python
    installed = looked.installed()  # starts a Python, so whatever else is told first
    for name in ("torch", "bitsandbytes") if needs_bitsandbytes else ("torch",):
        if name not in installed:
            raise ConflictError(
                f"{name} is not installed in the environment of {python}",
                remedy=f"run `ltx2-patcher install --python {python}`, or `make install`",
            )
    if pipeline.several_gpus and "ltx-kernels" not in installed:
        raise ConflictError(
            f"{pipeline.name} runs on several GPUs and needs ltx-kernels, which is not installed "
            f"in the environment of {python}",
            remedy="build upstream's packages/ltx-kernels into it, or run "
            f"{pipeline.name.removesuffix('_mgpu')} on one GPU",
        )


def _check_pictures(request: Request, target: Target, looked: Looked) -> None:
    fault = next((fault for fault in looked.pictures(_stills(request, target)) if fault), None)
    if fault is not None:
        raise UsageError(
            f"--image: {fault}", remedy="give a whole picture, for example a PNG or a JPEG"
        )


def _stills(request: Request, target: Target) -> list[Path]:
    paths = [file.path for file in request.files if file.option == "--image"]
    # Scripts that know --hdr read EXR stills by a way of their own, the others as any picture.
    apart = {".exr"} if "--hdr" in target.pipeline.options else set()
    return [path.absolute() for path in paths if path.suffix.lower() not in apart]


def _check_prompt(request: Request, looked: Looked) -> tuple[Finding, ...]:
    if request.text_encoder is None or not may_be_cut(request.prompt):
        return ()
    (tokens,) = looked.tokens(request.text_encoder[1], [str(request.prompt)])
    return _told(caution_of_length(tokens))


def _sounding(request: Request) -> list[tuple[str, Path]]:
    """The files with sound, each with its option."""
    # With --hdr a folder of frames may stand in for a video.
    return [
        (file.option, file.path)
        for file in request.files
        if file.option in SOUNDS.keys() | VIDEOS and _is_file(file.path)
    ]


def _is_file(path: Path) -> bool:
    """Whether one can be seen there; what can't be is refused where files are looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def _check_sounds(request: Request, target: Target, looked: Looked) -> tuple[Finding, ...]:
    """What is told of the videos among them."""
    given = _sounding(request)
    heard = looked.sounds([path.absolute() for _, path in given])
    warnings: tuple[Finding, ...] = ()
    for (option, path), sound in zip(given, heard, strict=True):
        if sound is None:  # the environment can't tell
            continue
        _refuse(refusal_of_video(option, path, sound))
        if option in SOUNDS:
            _refuse(refusal_of_sound(option, path, sound, request))
        asked = (option, path, sound.frame_rate, target.pipeline, target.abilities)
        warnings += _told(caution_of_video_rate(*asked))
    return warnings


def _check_budget(
    request: Request, target: Target, budget: Budget, checkpoint: Checkpoint | None
) -> None:
    """Told by what was measured, for a model of that size; else by what the headers say."""
    card = budget.card
    require_room(budget.gpu, card)
    if checkpoint is None or budget.may_exceed:
        return
    if checkpoint.elements_of("transformer") >= FULL_SIZE_ELEMENTS:
        known = of_base(budget.measured, target.abilities.base)
        require_fit(workload_of(target.pipeline, request), card, known)
    for need in transformer_needs(checkpoint, savings_of(target.pipeline.options)):
        held = (need.quantization, need.offload)
        if held == (request.quantization, request.offload) and need.bytes > card.usable_bytes:
            raise UsageError(
                f"{need.stage} with {' '.join(need.flags) or 'no flags'} takes about "
                f"{need.bytes / GIB:.1f} GiB, and a card of {card.name} has "
                f"{card.usable_bytes / GIB:.1f} to use",
                remedy="add --quantization fp8-cast, or --offload cpu where upstream has it",
            )


def _refuse(refusal: PatcherError | None) -> None:
    if refusal is not None:
        raise refusal


def _told(caution: Finding | None) -> tuple[Finding, ...]:
    return () if caution is None else (caution,)


def at_home(request: Request) -> Request:
    """The request with each "~" the folder that it stands for: not every script takes it so."""

    def there(path: Path | None) -> Path | None:
        return None if path is None else _path(path)

    return replace(
        request,
        output=there(request.output),
        checkpoint=there(request.checkpoint),
        gemma_root=there(request.gemma_root),
        enhancer_root=there(request.enhancer_root),
        calibration=there(request.calibration),
        parts={option: _path(path) for option, path in request.parts.items()},
        files=tuple(replace(file, path=_path(file.path)) for file in request.files),
    )


def _path(path: Path | str) -> Path:
    return disk.expanded(str(path))

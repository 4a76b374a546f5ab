"""What was found outside for requests that come together: each thing is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from ltx2_patcher.boundaries.environment import describe
from ltx2_patcher.boundaries.machine import Memory, memory
from ltx2_patcher.boundaries.pictures import faults_of_pictures
from ltx2_patcher.boundaries.sounds import sounds_of
from ltx2_patcher.boundaries.tokens import tokens_of
from ltx2_patcher.boundaries.weights import read_header
from ltx2_patcher.jobs.models.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.models.target import Target
from ltx2_patcher.rules.models.lora import Widths, modules_of
from ltx2_patcher.rules.models.request_checks import may_be_cut
from ltx2_patcher.rules.models.sound import SOUNDS, VIDEOS, Sound
from ltx2_patcher.values.errors import PatcherError
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, Header, Weights

Found = TypeVar("Found")


Thing = TypeVar("Thing", Path, str)


class Looked:
    """What was found outside for the requests of one target: each file is read once, and each
    question to its environment asked once, however many name it.

    It is of a moment: who looks again later makes another.
    """

    def __init__(self, target: Target, host: Callable[[], Memory] = memory) -> None:
        """`host` says what of host memory is free; a service counts what its own hold as that."""
        self._target = target
        self._host = host
        self._found: dict[Hashable, object] = {}

    def ahead(self, requests: Iterable[Request]) -> None:
        """Ask the environment all at once for what these requests will need of it.

        Raises: UsageError or OutsideError where it can't be started.
        """
        several = list(requests)
        self.installed()
        pictures = [path for request in several for path in stills(request, self._target)]
        self.pictures([path for path in dict.fromkeys(pictures) if _is_file(path)])
        self.sounds([path.absolute() for request in several for _, path in sounding(request)])
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

    def memory(self) -> Memory:
        """What of the host's is free, as `boundaries.machine.memory` or what was given for it."""
        return self._once(memory, self._host)

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


def stills(request: Request, target: Target) -> list[Path]:
    """The pictures that upstream opens as any picture, absolute."""
    paths = [file.path for file in request.files if file.option == "--image"]
    # Scripts that know --hdr read EXR stills by a way of their own, the others as any picture.
    apart = {".exr"} if "--hdr" in target.pipeline.options else set()
    return [path.absolute() for path in paths if path.suffix.lower() not in apart]


def sounding(request: Request) -> list[tuple[str, Path]]:
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

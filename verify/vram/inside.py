"""Inside the measured process: one of upstream's scripts, held to a card, and what goes on noted.

Nothing of upstream changes: its builders and the models that they make are watched from outside.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import IO, Any

import torch

from verify.upstream import convolutions
from verify.vram.child_task import ChildTask
from verify.vram.events import Doing, Failure, Held, Parked, Peaks, Turn, event_line
from verify.vram.parked_buffers import watch_buffers
from verify.vram.stages import STAGE_OF, TEXT_ENCODER, TRANSFORMER, UPSAMPLER, VIDEO_ENCODER

HELD_EVERY_S = 0.02
AMPERE = (8, 6)  # an RTX 3090

_COMPONENT_OF = {
    "GemmaTextEncoderConfigurator": TEXT_ENCODER,
    "AVGemmaTextEncoderModelConfigurator": TEXT_ENCODER,
    "VideoGemmaTextEncoderModelConfigurator": TEXT_ENCODER,
    "EmbeddingsProcessorConfigurator": "embeddings processor",
    "VideoEncoderConfigurator": VIDEO_ENCODER,
    "AudioEncoderConfigurator": "audio encoder",
    "LatentUpsamplerConfigurator": UPSAMPLER,
    "VideoDecoderConfigurator": "video decoder",
    "AudioDecoderConfigurator": "audio decoder",
    "VocoderConfigurator": "audio decoder",
    "DurationHeadConfigurator": "duration head",
}
"""By the names of upstream's configurators; before March 2026 the text encoder held the embeddings
processor."""
_METHODS = {
    "encode": TEXT_ENCODER,
    "enhance_t2v": "prompt enhancer",
    "enhance_i2v": "prompt enhancer",
}
"""What a text encoder is asked for other than by calling it."""
_BUILDERS = {
    "ltx_core.loader.single_gpu_model_builder": "SingleGPUModelBuilder",
    "ltx_core.block_streaming.builder": "StreamingModelBuilder",
}


class _Reached(BaseException):
    """The last stage that was asked for has ended: no error, and none of upstream's to catch."""


class Notes:
    """Writes down what begins when; one stretch ends where the next begins."""

    def __init__(self, file: IO[str], until: str | None) -> None:
        self._file, self._until = file, until
        self._now: tuple[str, Doing] | None = None
        self._cuda = torch.cuda.is_available()
        self._lock = threading.Lock()
        self.loading = False

    def turn(self, component: str | None, doing: Doing) -> None:
        """From now on `component` is loaded or computes; None where the run ends."""
        if (component, doing) == self._now:
            return
        was = self._now[0] if self._now else None
        if self._until and component not in {was, None} and STAGE_OF.get(str(was)) == self._until:
            raise _Reached
        if self._cuda:
            torch.cuda.synchronize()
        peaks = self._peaks() if self._now else None
        self.write(Turn(time.monotonic(), component, doing, peaks))
        self._now = None if component is None else (component, doing)

    def watch(self, done: threading.Event) -> None:
        """Note what the allocator holds until `done` is set."""
        while not done.wait(HELD_EVERY_S):
            held = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
            self.write(Held(time.monotonic(), *held))

    def parked(self, kept_bytes: int, passing_bytes: int) -> None:
        """From now on parked weights hold that much of the card."""
        self.write(Parked(time.monotonic(), kept_bytes, passing_bytes))

    def write(self, event: Turn | Held | Parked | Failure) -> None:
        """One line, whole."""
        with self._lock:
            self._file.write(event_line(event))
            self._file.flush()

    def _peaks(self) -> Peaks | None:
        if not self._cuda:
            return None
        peaks = Peaks(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
        torch.cuda.reset_peak_memory_stats()
        return peaks


def run(task: ChildTask) -> int:
    """The exit code of the script; 0 too where it ended at the stage that was asked for."""
    with Path(task.events).open("w", encoding="utf-8") as file:
        notes = Notes(file, task.until)
        with ExitStack() as stack:
            _hold(task)
            if not torch.cuda.is_available():
                convolutions.round_from_float32()
            stack.enter_context(_sampled(notes))
            _watch_builders(notes)
            watch_buffers(notes.parked)
            try:
                code = _script(task)
            except _Reached:
                code = 0
            except Exception as error:  # noqa: BLE001 - whatever a script lets through
                traceback.print_exc()
                out_of_memory = isinstance(error, torch.OutOfMemoryError)
                notes.write(Failure(out_of_memory, _first_line(error)))
                code = 1
        notes.turn(None, "compute")
    return code


def _script(task: ChildTask) -> int:
    module = importlib.import_module(task.module)
    sys.argv = [str(module.__file__), *task.argv]
    try:
        module.main()
    except SystemExit as stop:  # its argument is read as the interpreter reads it
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    return 0


def _hold(task: ChildTask) -> None:
    """Let torch take of this card what the smaller one has, and choose as on that one."""
    if task.allocator_bytes is not None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, task.allocator_bytes / total))
    if task.ampere:
        _keep_triton_on_this_card()
        torch.cuda.get_device_capability = lambda device=None: AMPERE  # noqa: ARG005
        # Torch prefers cuDNN's attention on Hopper and flash attention on Ampere.
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)


def _keep_triton_on_this_card() -> None:
    """Triton asks torch what to compile for; code for another card would not run here."""
    with suppress(ImportError):
        from triton.runtime import driver

        target = driver.active.get_current_target()
        driver.active.get_current_target = lambda: target


@contextmanager
def _sampled(notes: Notes) -> Iterator[None]:
    if not torch.cuda.is_available():
        yield
        return
    done = threading.Event()
    sampler = threading.Thread(target=notes.watch, args=(done,), daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()


def _watch_builders(notes: Notes) -> None:
    """Each builder of upstream's says what it loads, and what it made says when it computes."""
    for name, cls in _BUILDERS.items():
        try:
            builder = getattr(importlib.import_module(name), cls)
        except ImportError:
            continue  # that upstream has no such builder
        builder.build = _told(builder.build, notes)


def _told(build: Callable[..., Any], notes: Notes) -> Callable[..., Any]:
    @wraps(build)
    def watched(self: Any, *args: Any, **keywords: Any) -> Any:
        if notes.loading:  # a builder's own way to load, as where weights are parked
            return build(self, *args, **keywords)
        configurator = getattr(self, "model_class_configurator", None)
        component = component_of(configurator or self._model_class_configurator)
        notes.turn(component, "load")
        notes.loading = True
        try:
            model = build(self, *args, **keywords)
        finally:
            notes.loading = False
        notes.turn(component, "compute")
        _watch_model(model, component, notes)
        return model

    return watched


def component_of(configurator: type) -> str:
    """What a builder with that configurator makes."""
    names = [cls.__name__ for cls in configurator.__mro__]
    known = next((_COMPONENT_OF[name] for name in names if name in _COMPONENT_OF), None)
    if known is None:
        assert any(re.fullmatch(r"\w*LTX\w*ModelConfigurator", name) for name in names), names
        return TRANSFORMER
    return known


def _watch_model(model: Any, component: str, notes: Notes) -> None:
    """Its calls and those of its direct parts, which upstream's decoders call; of a text encoder
    its methods, as both of its uses call its parts.
    """
    if getattr(model, "_told_of", False):
        return  # a cached shell, filled again
    model._told_of = True  # noqa: SLF001 - upstream's models have no place for it
    if component == TEXT_ENCODER:
        for name, kind in _METHODS.items():
            if hasattr(model, name):
                setattr(model, name, _named(getattr(model, name), kind, notes))
        if not hasattr(model, "encode"):  # before March 2026 it is called
            model.register_forward_pre_hook(lambda *_: notes.turn(component, "compute"))
        return
    for module in (model, *model.children()):
        module.register_forward_pre_hook(lambda *_: notes.turn(component, "compute"))


def _named(method: Callable[..., Any], component: str, notes: Notes) -> Callable[..., Any]:
    @wraps(method)
    def told(*args: Any, **keywords: Any) -> Any:
        notes.turn(component, "compute")
        return method(*args, **keywords)

    return told


def _first_line(error: Exception) -> str:
    return "".join(traceback.format_exception_only(error)).splitlines()[0]

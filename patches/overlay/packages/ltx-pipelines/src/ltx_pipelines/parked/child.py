"""Clip after clip in one process: each request runs a script's own main(), and weights parked for one serve the next.

    python -m ltx_pipelines.parked.child

Reads a JSON object a line on stdin. A request has a name of the caller's own, a script and its arguments:

    {"id": "7", "module": "ltx_pipelines.distilled", "argv": ["--prompt", ...]}     {"cancel": "7"}

With "latents": FOLDER, one that is there, each denoising step tells what a preview can be made of: a .npy file in it,
float16, (channels, rows, columns), of the middle frame as it is denoised so far, or, once a clip of this video decoder
was made so, the colours of that, uint8, (rows, columns, 3). The clip is the same.

Writes an event a line on stdout, and leaves stderr to the scripts:

    {"event": "ready"}
    {"event": "begun", "id": "7"}
    {"event": "model", "id": "7", "model": "LTXModel"}              it was handed out
    {"event": "step", "id": "7", "of": "samplers", "done": 3, "total": 8}     the card has done it; media_io: a chunk
    {"event": "step", ..., "latents": "FOLDER/0003.npy"}             where asked for, and the step has video
    {"event": "done", "id": "7", "seconds": 5.9, "peak_bytes": 6485000000}
    {"event": "failed", "id": "7", "code": 1, "error": "..."}       by its exit code; the next request runs
    {"event": "cancelled", "id": "7"}

It ends with 0 once stdin does and what was asked is done.
"""

import gc
import importlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
import tqdm

from ltx_core.parked.observer import observe
from ltx_pipelines.parked.colours import Colours
from ltx_pipelines.parked.latents import Frame, Latents

_STEPPING = ("samplers", "media_io", "media_io.encode")  # below ltx_pipelines.utils: what shows its progress by tqdm
_STAGING = ("helpers", "blocks")  # what begins a stage of denoising: in 1.0.0 the first, later the second


class Cancelled(BaseException):
    """Somebody asked that this run ends."""


class NoScriptError(Exception):
    """There is no script of a request's name, or it can't be imported."""


class Events:
    """Lines on what was stdout. Those that wait for the card are written once it is there, in order."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # a script's prints are no events
        self._waiting: queue.SimpleQueue[tuple[torch.cuda.Event | None, Callable[[], None]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def say(self, event: str, *, latents: Frame | None = None, **parts: object) -> None:
        """Write an event, and the file that it names, once the card has done all that it was asked until now."""
        reached = None
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            reached = torch.cuda.current_stream().record_event(torch.cuda.Event(blocking=True))
        self._waiting.put((reached, lambda: self._write({"event": event, **parts}, latents)))

    def close(self) -> None:
        """Return once all is written."""
        done = threading.Event()
        self._waiting.put((None, done.set))
        done.wait()

    def _work(self) -> None:
        while True:
            reached, write = self._waiting.get()
            if reached is not None:
                reached.synchronize()
            write()

    def _write(self, parts: dict[str, object], latents: Frame | None) -> None:
        if latents is not None and (place := latents.write()) is not None:
            parts["latents"] = place
        print(json.dumps(parts), file=self._lines, flush=True)


class Requests:
    """What stdin asks for, read beside the run in hand, so that that can be cancelled."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[dict[str, object] | None] = queue.SimpleQueue()
        self._cancelled: set[object] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[dict[str, object]]:
        while (request := self._queue.get()) is not None:
            yield request

    def is_cancelled(self, name: object) -> bool:
        return name in self._cancelled

    def _read(self) -> None:
        try:
            for line in sys.stdin:
                asked = json.loads(line)
                if "cancel" in asked:
                    self._cancelled.add(asked["cancel"])
                else:
                    self._queue.put(asked)
        finally:  # what is no JSON ends the process, once what was asked before is done
            self._queue.put(None)


class Run:
    """One request: what its script tells of, and where it may end."""

    def __init__(self, name: object, events: Events, is_cancelled: Callable[[], bool], latents: Latents | None) -> None:
        self._name, self._events, self._is_cancelled, self._latents = name, events, is_cancelled, latents

    def say(self, event: str, *, latents: Frame | None = None, **parts: object) -> None:
        self._events.say(event, latents=latents, id=self._name, **parts)

    def begun(self, model: str) -> None:
        self.point()
        self.say("model", model=model)

    def point(self) -> None:
        if self._is_cancelled():
            raise Cancelled

    def substitutes(self, script: ModuleType) -> Iterator[tuple[ModuleType, str, object]]:
        """Yield what upstream's modules are to use in place of their own: a module, a name in it, and its value."""
        for name in _STEPPING:
            if (module := _holding(name, "tqdm")) is not None:
                yield module, "tqdm", self._progress_of(name.partition(".")[0])
        if self._latents is None:
            return
        for name in _STAGING:
            if (module := _holding(name, "create_noised_state")) is not None:
                yield module, "create_noised_state", self._latents.noting_the_video(module.create_noised_state)
        if (module := _holding("samplers", "post_process_latent")) is not None:
            yield module, "post_process_latent", self._latents.taking_the_first(module.post_process_latent)
        if hasattr(script, "encode_video"):
            yield script, "encode_video", self._latents.learning(script.encode_video)

    def _progress_of(self, name: str) -> type[tqdm.tqdm]:
        """Return upstream's progress bar, which tells of each round that is over and lets the run end there."""
        run = self
        latents = self._latents if name == "samplers" else None

        class Told(tqdm.tqdm):
            monitor_interval = 0  # tqdm starts a thread a class, which would stay after the request

            def __iter__(self) -> Iterator[object]:
                for number, item in enumerate(super().__iter__(), 1):
                    run.point()
                    yield item
                    frame = None if latents is None else latents.taken()
                    run.say("step", of=name, done=number, total=self.total, latents=frame)

        return Told


@contextmanager
def _as_it_was(run: Run, script: ModuleType) -> Iterator[None]:
    """Put back what a script changes in the process, and let what upstream's modules do tell `run`."""
    argv, hook = sys.argv, sys.excepthook
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    substitutes = [(module, name, vars(module)[name], value) for module, name, value in run.substitutes(script)]
    observe(run)
    try:
        for module, name, _, value in substitutes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value, _ in substitutes:
            setattr(module, name, value)
        observe(None)
        sys.argv, sys.excepthook = argv, hook
        root.handlers[:] = handlers
        root.setLevel(level)


def _holding(name: str, attribute: str) -> ModuleType | None:
    """Return upstream's module of that name where the script imported it and it has the attribute."""
    module = sys.modules.get(f"ltx_pipelines.utils.{name}")
    return module if hasattr(module, attribute) else None


def _make(request: dict[str, object], run: Run) -> None:
    """Run the request and say how it ended."""
    began_s = time.monotonic()
    try:
        run.point()
        run.say("begun")
        script = _script(str(request["module"]))
        with _as_it_was(run, script):
            sys.argv = [str(script.__file__), *map(str, request["argv"])]
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            code, error = _ended(script.main)
    except NoScriptError as error:
        run.say("failed", code=1, error=str(error))
    except Cancelled:
        run.say("cancelled")
    else:
        if code:
            run.say("failed", code=code, error=error)
        else:
            peak = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
            run.say("done", seconds=time.monotonic() - began_s, peak_bytes=peak)
            return
    gc.collect()  # what failed is held by its traceback
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Within it nothing is collected: what an import makes stays, and looking for garbage in it took seconds."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _script(name: str) -> ModuleType:
    """Return the module of that name. Raises: NoScriptError."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        with _uncollected():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):  # itself, or a package it lies in
            raise NoScriptError(f"there is no script {name}: {error}") from error
        raise NoScriptError(f"the script {name} needs what is not there: {error}") from error
    except Exception as error:
        raise NoScriptError(f"the script {name} can't be imported: {type(error).__name__}: {error}") from error


def _ended(main: Callable[[], object]) -> tuple[int, str]:
    """Return what a process that ran it would exit with, and its last word."""
    try:
        return _as_code(main())
    except SystemExit as stop:
        return _as_code(stop.code)
    except Exception as error:
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as stop:
            return _as_code(stop.code)[0], str(error)
        return 1, f"{type(error).__name__}: {error}"


def _as_code(value: object) -> tuple[int, str]:
    if value is None or isinstance(value, int):
        return value or 0, ""
    return 1, str(value)


def main() -> None:
    events, requests = Events(), Requests()
    events.say("ready")
    for request in requests:
        name, folder = request["id"], request.get("latents")
        latents = None if folder is None else Latents(Path(str(folder)), Colours.of(list(map(str, request["argv"]))))
        _make(request, Run(name, events, lambda name=name: requests.is_cancelled(name), latents))
    events.close()


if __name__ == "__main__":
    main()

"""A service as a process of its own, with its workers: begun, killed, looked at and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.berth import Berth
from verify.campaigns.host_pages import bytes_in, host_bytes
from verify.campaigns.service_client import Client
from verify.upstream.tree import ROOT

_UP_S, _END_S, _POLL_S = 120.0, 60.0, 0.005
_MARK = b"LTX2_SERVICE_WORKER="


@dataclass(frozen=True, slots=True)
class Setting:
    """What a service is started with."""

    models: Sequence[Mapping[str, Any]]  # as serve.toml has them
    gpus: tuple[int, ...] = (0,)
    weights_folder: Path | None = None
    program: tuple[str, ...] = ("-m", "ltx2_service", "run")
    options: tuple[str, ...] = ()


class Bench:
    """A service below `folder`; a context manager, at whose end no process of it is left."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.setting, self.folder, self.state = setting, folder, folder / "state"
        self.port, self.began_s = _free_port(), 0.0
        self.client = Client(self.port)
        self._config = folder / "serve.toml"
        self._config.write_text(serve_toml(setting, folder, self.port), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGTERM)  # at once
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self._process.kill()
            self._process.wait()
        for index in self.setting.gpus:
            if self.berth(index).lock.exists():
                self.berth(index).clear()
        if self.setting.weights_folder is not None:
            shutil.rmtree(self.setting.weights_folder, ignore_errors=True)

    def start(self) -> float:
        """Begin it; the seconds until it answers. Raises: OutsideError where it does not."""
        self.began_s = time.monotonic()
        argv = [sys.executable, *self.setting.program, "--config", str(self._config)]
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, *self.setting.options], cwd=ROOT, env=variables(), stdout=log, stderr=log
            )
        self._until(self.client.lives, "the service does not answer")
        return time.monotonic() - self.began_s

    def kill(self) -> None:
        """End the API at once, as a crash would; its workers go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def berth(self, index: int) -> Berth:
        """Where the worker of a card is found."""
        return Berth(self.state, f"gpu{index}")

    def kill_worker(self, index: int) -> None:
        """End the worker of a card at once. Raises: OutsideError where there is none."""
        if (pid := self.berth(index).holder()) is None:
            raise OutsideError(f"gpu{index} has no worker", remedy="see the service's log")
        os.kill(pid, signal.SIGKILL)

    def await_idle(self) -> None:
        """Every card takes clips. Raises: OutsideError where one does not."""

        def are_idle() -> bool:
            cards = self.client.json("GET", "/v1/service")["cards"]
            return all(card["state"] == "idle" for card in cards)

        self._until(are_idle, "not every worker is idle")

    def warm(self) -> set[int]:
        """The cards that have a model's weights."""
        cards = self.client.json("GET", "/v1/service")["cards"]
        return {card["index"] for card in cards if card["warm"]}

    def host_bytes(self) -> int:
        """What the workers and all that they started hold of the host's memory, what they share
        counted once.
        """
        folder = self.setting.weights_folder
        pids = [pid for index in self.setting.gpus for pid in self._workers(index)]
        own = sum(host_bytes(pid, folder) for pid in pids)
        return own + (0 if folder is None else bytes_in(folder))

    def _workers(self, index: int) -> list[int]:
        """The worker of a card and the processes that carry its mark."""
        berth = self.berth(index)
        found = {berth.holder()} - {None}
        mark = _MARK + os.fsencode(self.state / berth.name)
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
        return [pid for pid in found if pid is not None]

    def _until(self, holds: Callable[[], bool], else_: str) -> None:
        end_s = time.monotonic() + _UP_S
        while not holds():
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > end_s:
                log = self.folder / "service.log"
                said = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
                raise OutsideError(f"{else_}: {' / '.join(said)}", remedy=f"see {log}")
            time.sleep(_POLL_S)


def variables() -> dict[str, str]:
    """Of a process that imports modules of this repository beside what this one does."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def serve_toml(setting: Setting, folder: Path, port: int) -> str:
    """The settings' file."""
    lines = [
        f"port = {port}",
        f"gpus = {list(setting.gpus)}",
        f"state = {json.dumps(str(folder / 'state'))}",
        f"clips = {json.dumps(str(folder / 'clips'))}",
    ]
    if setting.weights_folder is not None:
        lines.append(f"weights_folder = {json.dumps(str(setting.weights_folder))}")
    for model in setting.models:
        own = {name: value for name, value in model.items() if name != "files"}
        lines += ["", "[[models]]", *(f"{name} = {json.dumps(own[name])}" for name in own)]
        lines += ["", "[models.files]"]
        lines += [f"{name} = {json.dumps(str(path))}" for name, path in model["files"].items()]
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

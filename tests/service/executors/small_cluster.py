"""A Ray cluster on this machine: nodes started by the service's own words, a card each."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ltx2_service.boundaries.ray.process import answers, driver_variables
from ltx2_service.rules.ray_start import start_words
from ltx2_service.values.settings import Cluster
from tests.conftest import ROOT

_UP_S = 180.0  # a node ends a minute after its head


class SmallCluster:
    """A head, which has no card, and nodes by name; each is a process with its group."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        """Ray's sockets lie below `temporary`, whose path has to be short."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        token = folder / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        shared = folder / "shared"
        shared.mkdir()
        self.cluster = Cluster(f"127.0.0.1:{port}", shared, token, card="card")
        self._folder, self._temporary = folder, temporary
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start_head(self) -> None:
        """Once it is up; Ray starts none where a node of the one before still runs."""
        self._start_again("head")
        deadline = time.monotonic() + _UP_S
        while not answers(self.cluster):
            assert time.monotonic() < deadline, self.log("head")
            self.restart_what_ended()
            time.sleep(0.1)

    def start_node(self, name: str) -> None:
        """Once it is up; of two that start at once on one machine, one may fail."""
        deadline = time.monotonic() + _UP_S
        self._start_again(name)
        while "will now block forever" not in self.log(name):
            assert time.monotonic() < deadline, self.log(name)
            self.restart_what_ended()
            time.sleep(0.1)

    def _start_again(self, name: str) -> None:
        words = start_words(self.cluster, name, head=name == "head")
        if name == "head":
            without_a_card = [word for word in words if "card" not in word]
            words = (*without_a_card, f"--temp-dir={self._temporary}")
        self._start(name, words)

    def kill(self, name: str) -> None:
        """With all of Ray's on it; the workers that its actors started go on."""
        node = self._nodes.pop(name)
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def restart_what_ended(self) -> None:
        """As systemd does."""
        for name, node in list(self._nodes.items()):
            if node.poll() is not None:
                self._start_again(name)

    def close(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def _start(self, name: str, words: Sequence[str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", *words],
                env=driver_variables(self.cluster, ROOT),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

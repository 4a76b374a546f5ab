"""The driver process: started, spoken to, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import stat
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.proc import become, call, inherited_variables
from ltx2_patcher.values.errors import ConflictError, OutsideError
from ltx2_service.boundaries.ray.pipe import Pipe
from ltx2_service.boundaries.spawn import has_ended, spawn
from ltx2_service.rules.ray_start import LEFT_OUT, start_words, variables_of
from ltx2_service.values.driving import Order, Report
from ltx2_service.values.settings import Cluster

_MODULE = "ltx2_service.boundaries.ray.driver"
_PROBE = "ltx2_service.boundaries.ray.probe"
_PROBE_S = 180.0
_CONNECT_S = 3.0


class DriverProcess:
    """One driver. Raises: OutsideError where it can't be started."""

    def __init__(self, cluster: Cluster, tree: Path, log: Path) -> None:
        with disk.translated(log):
            log.parent.mkdir(parents=True, exist_ok=True)
        self._pipe, theirs = Pipe.pair()
        with theirs:
            argv = [sys.executable, "-m", _MODULE]
            self._pid = spawn(argv, driver_variables(cluster, tree), log, theirs.fileno())

    def send(self, order: Order) -> bool:
        """Whether it can read it; in any thread."""
        return self._pipe.send(order)

    def received(self, wait_s: float) -> Order | Report | None:
        """What it says within this time. Raises: EOFError once it has ended."""
        return self._pipe.received(wait_s)

    def end(self) -> None:
        """End it at once; actors and workers go on."""
        if not has_ended(self._pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
        self._pipe.close()


def become_node(cluster: Cluster, tree: Path, name: str | None, *, head: bool) -> NoReturn:
    """Replace this process by a node of the cluster, called as the machine without a name.

    Raises: ConflictError without Ray; OutsideError without a token.
    """
    require_ray()
    require_token(cluster)
    words = start_words(cluster, name or socket.gethostname(), head=head)
    become((sys.executable, "-m", "ray.scripts.scripts", *words), driver_variables(cluster, tree))


def require_ray() -> str:
    """Ray's version. Raises: ConflictError where it is lacking."""
    try:
        return version("ray")
    except PackageNotFoundError as error:
        raise ConflictError(
            "several machines need Ray, which the tool's environment lacks",
            remedy="run `make serve-install EXTRA=ray`, on each of them",
        ) from error


def require_token(cluster: Cluster) -> None:
    """Raises: OutsideError where the token can't be read, or others can read it too."""
    file = cluster.token_file
    with disk.translated(file, reading=True):
        there = file.stat() if file.exists() else None
    if there is None or not there.st_size:
        raise OutsideError(
            f"there is no token in {file}, and Ray runs what anybody sends it",
            remedy=f"on one machine run `(umask 077; openssl rand -hex 32 > {file})`, and copy it "
            "to the others",
        )
    if there.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise OutsideError(f"{file} can be read by others", remedy=f"run `chmod 600 {file}`")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a cluster."""

    name: str
    cards: int
    sees: bool  # what this one writes into the folder that they share


def machines(cluster: Cluster, tree: Path) -> tuple[Machine, ...]:
    """Those that have cards. Raises: OutsideError where they can't be asked."""
    if not answers(cluster):
        raise OutsideError(
            f"nothing answers at {cluster.address}",
            remedy="start the head there: ltx2-patcher serve node --head",
        )
    word, place = secrets.token_hex(16), cluster.shared / f".visible.{os.getpid()}"
    with disk.translated(place):
        place.write_text(word)
    asked = {
        "address": cluster.address,
        "shared": str(cluster.shared),
        "card": cluster.card,
        "file": str(place),
        "word": word,
    }
    try:
        done = call(
            (sys.executable, "-m", _PROBE),
            env=driver_variables(cluster, tree),
            stdin=json.dumps(asked).encode("ascii"),
            timeout_s=_PROBE_S,
        )
        told = json.loads(done.out)
    except ValueError as error:
        raise OutsideError(
            f"Ray at {cluster.address} ended the process that asked it",
            remedy="see that this machine is a node of it: ltx2-patcher serve node",
        ) from error
    finally:
        place.unlink(missing_ok=True)
    if "error" in told:
        raise OutsideError(told["error"], remedy=told["remedy"])
    return tuple(Machine(**one) for one in told["machines"])


def driver_variables(cluster: Cluster, tree: Path) -> dict[str, str]:
    """What a driver is started with: the token, and this very package."""
    return inherited_variables(without=LEFT_OUT, **variables_of(cluster, tree))


def answers(cluster: Cluster) -> bool:
    """Whether something listens at the head's address: without, Ray's own tries take 80 s."""
    try:
        socket.create_connection(cluster.endpoint, _CONNECT_S).close()
    except OSError:
        return False
    return True

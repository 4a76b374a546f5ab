"""The service as a whole: begin it in the background, end it, and ask how it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ltx2_patcher.values.errors import ConflictError, OutsideError
from ltx2_service.boundaries.background import Begun, ask_to_end, begin, end_at_once
from ltx2_service.boundaries.listening import ask
from ltx2_service.boundaries.lock import Holder, busy, holder, is_held
from ltx2_service.boundaries.spawn import has_ended
from ltx2_service.values.settings import Settings

LOG = "service.log"
_UP_S = 120.0  # until /livez answers: the gate asks each base's environment first
_BEYOND_S = 30.0  # that an end may take beside the drain
_POLL_S = 0.1
_START = "start it: ltx2-patcher serve start"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A service that was ended."""

    pid: int
    killed: bool  # it did not end in time by itself


def start(settings: Settings, argv: Sequence[str]) -> Holder:
    """Begin the service that `argv` runs in the foreground, and wait until it answers.

    Raises: BusyError where one serves that state folder; OutsideError where it does not come up,
    with what it says of that.
    """
    if is_held(settings.state):
        raise busy(settings.state, holder(settings.state))
    begun = begin(argv, settings.state / LOG)
    deadline = time.monotonic() + _UP_S
    while time.monotonic() < deadline:
        if has_ended(begun.pid):
            raise _stillborn(begun)
        there = holder(settings.state)
        if there is not None and there.pid == begun.pid and _lives(there):
            return there
        time.sleep(_POLL_S)
    end_at_once(begun.pid)
    raise OutsideError(
        f"the service did not answer within {_UP_S:.0f} s", remedy=f"see {begun.log}"
    )


def stop(settings: Settings) -> Stopped | None:
    """End the service: it takes no more clips, those under way get `drain_s` to end, and those
    that wait are kept for the next start. One that does not end then is killed. None where none
    runs.

    Raises: OutsideError where it is of another user.
    """
    there = _settled(settings)
    if there is None:
        return None
    pid = there.pid
    _send(ask_to_end, pid)
    if _ends(settings, settings.drain_s + _BEYOND_S):
        return Stopped(pid, killed=False)
    _send(end_at_once, pid)
    _ends(settings, _BEYOND_S)
    return Stopped(pid, killed=True)


def status(settings: Settings) -> tuple[Holder, Mapping[str, object]]:
    """Who serves, and what its /health says.

    Raises: ConflictError where none runs; OutsideError where it does not answer.
    """
    there = _settled(settings)
    if there is None:
        raise ConflictError("the service does not run", remedy=_START)
    token = next(iter(settings.tokens), None)
    _, said = ask(there.host, there.port, "/health", token)
    return there, said if isinstance(said, Mapping) else {}


def _settled(settings: Settings) -> Holder | None:
    """Who serves; one that begins just now is waited for."""
    deadline = time.monotonic() + 1
    while (there := holder(settings.state)) is None and is_held(settings.state):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return there


def _lives(there: Holder) -> bool:
    try:
        return ask(there.host, there.port, "/livez")[0] == 200
    except OutsideError:
        return False


def _ends(settings: Settings, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while is_held(settings.state):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _send(signal: Callable[[int], None], pid: int) -> None:
    try:
        signal(pid)
    except PermissionError as error:
        raise OutsideError(
            f"process {pid} is of another user", remedy="stop it as that user, or as root"
        ) from error


def _stillborn(begun: Begun) -> OutsideError:
    """What it said: a sentence of ours with its remedy, or the last line of something else."""
    lines = begun.said().splitlines()
    for place, line in enumerate(lines[:-1]):
        if line.startswith("ltx2-service: ") and lines[place + 1].startswith("  to do: "):
            remedy = lines[place + 1].removeprefix("  to do: ")
            return OutsideError(line.removeprefix("ltx2-service: "), remedy=remedy)
    last = lines[-1] if lines else "without a word"
    return OutsideError(f"the service ended at its start: {last}", remedy=f"see {begun.log}")

"""The process that renders clip after clip: ltx_pipelines.parked.child, whose docstring is its
protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from ltx2_patcher.boundaries.proc import Talk

MODULE = "ltx_pipelines.parked.child"
_DEATH_S = 5.0  # from the end of its output to its own
_END_S = 30.0  # to give back what it holds, once its input has ended


@dataclass(frozen=True, slots=True)
class Ready:
    """It takes requests."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The script of a request runs."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model was handed out."""

    name: str  # "LTXModel"


@dataclass(frozen=True, slots=True)
class Step:
    """A round of a progress bar of upstream's is over."""

    of: str  # "samplers", "media_io"
    done: int
    total: int | None
    latents: Path | None = None
    """Of a denoising step where they were asked for: a .npy file, float16, (channels, rows,
    columns), of the middle frame as it is denoised so far.
    """


@dataclass(frozen=True, slots=True)
class Done:
    """The script ended as it should."""

    seconds: float
    peak_bytes: int  # of the card; 0 without one


@dataclass(frozen=True, slots=True)
class Failed:
    """The script ended with an exit code, and maybe a word."""

    code: int
    error: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It ended because that was asked for."""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended."""

    code: int  # negative: by that signal


Event = Ready | Begun | Model | Step | Done | Failed | Cancelled | Died


class Child:
    """The process under way; a context manager, at whose end it is gone.

    Raises: OutsideError where its Python is missing.
    """

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str], log: IO[bytes]) -> None:
        self._talk = Talk(argv, variables, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._talk.kill()

    def request(
        self, name: str, module: str, argv: Sequence[str], latents: Path | None = None
    ) -> None:
        """Ask for a run, whose end is Done, Failed, Cancelled or Died.

        With a folder that is there, the latents of each step go to a file in it, which is the
        caller's to remove.
        """
        message = {"id": name, "module": module, "argv": list(argv)}
        self._send(message if latents is None else {**message, "latents": str(latents)})

    def cancel(self, name: str) -> None:
        """Ask that a run ends at its next block, step or chunk."""
        self._send({"cancel": name})

    def events(self, wait_s: float) -> Iterator[Event]:
        """What it tells within this time."""
        lines = self._talk.lines(wait_s)
        if lines is None:
            yield Died(self._talk.wait(_DEATH_S))
            return
        yield from (event for line in lines if (event := parse_event(line)) is not None)

    def kill(self) -> None:
        """End it at once."""
        self._talk.kill()

    def end(self) -> None:
        """Let it end by itself."""
        self._talk.wait(_END_S)

    def _send(self, message: Mapping[str, object]) -> None:
        self._talk.send(json.dumps(message).encode("ascii"))


def parse_event(line: bytes) -> Event | None:
    """The event of a line; None where a library wrote it before the child took the stream."""
    try:
        told = json.loads(line)
        match told["event"]:
            case "ready":
                return Ready()
            case "begun":
                return Begun()
            case "model":
                return Model(str(told["model"]))
            case "step":
                total, latents = told["total"], told.get("latents")
                return Step(
                    str(told["of"]),
                    int(told["done"]),
                    None if total is None else int(total),
                    None if latents is None else Path(latents),
                )
            case "done":
                return Done(float(told["seconds"]), int(told["peak_bytes"]))
            case "failed":
                return Failed(int(told["code"]), str(told["error"]))
            case "cancelled":
                return Cancelled()
    except (ValueError, KeyError, TypeError):
        pass
    return None

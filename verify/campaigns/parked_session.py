"""The processes of the campaign of parked weights: the child, timed from outside, and its probe."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO, Any, Self

from ltx2_patcher.boundaries.child import MODULE, Begun, Child, Died, Done, Failed, Step
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.values.errors import InvalidError
from verify.upstream.tree import script_environment

_PROBE = "verify.campaigns.parked_probe"
_POLL_S = 60.0
_STEADY_FROM = 3  # of the steps of a stage: blocks are kept from the second on, and there after it


@dataclass(frozen=True, slots=True)
class Made:
    """How a request ended; seconds and bytes are 0 where it failed."""

    seconds: float = 0.0
    reserved_bytes: int = 0
    failure: str | None = None
    step_s: float | None = None  # of the first stage, once blocks are kept; None of few steps


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probe reports; `plans` are (bytes of each block, which stay), a stage each."""

    plans: tuple[tuple[tuple[int, ...], frozenset[int]], ...]
    copied_bytes: int
    copied_s: float
    host_bytes: int


class Session:
    """A child that makes clip after clip; a context manager, at whose end it is gone.

    Raises: OutsideError where its Python is missing.
    """

    def __init__(self, tree: Path, gpu: Gpu | None, work: Path) -> None:
        self._began_s = time.monotonic()
        self._report = work / "probe.json"
        self._log: IO[bytes] = (work / "child.log").open("ab")
        variables = script_environment(tree, gpu)
        self._child = Child([sys.executable, "-m", MODULE], variables, self._log)
        self._requests = 0
        self.parked: set[tuple[str, ...]] = set()  # the scripts, with flags, whose weights it has
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began_s

    def close(self) -> None:
        """End it at once."""
        self.ended = True
        self._child.kill()
        self._log.close()

    def make(self, module: str, argv: Sequence[str]) -> Made:
        """Run a script to its end, well or not."""
        self._requests += 1
        self._child.request(str(self._requests), module, argv)
        stages = _Stages()
        while True:
            for event in self._child.events(_POLL_S):
                match event:
                    case Begun():
                        stages = _Stages()
                    case Step("samplers", done, _):
                        stages.step(done)
                    case Done(seconds, reserved):
                        return Made(seconds, reserved, step_s=stages.step_s)
                    case Failed(code, error):
                        return Made(failure=f"it ended with {code}: {error}")
                    case Died(code):
                        self.close()
                        return Made(failure=f"its process ended with {code}: see {self._log.name}")

    def begin(
        self, link_gb_s: float | None = None, *, keeps: bool = True, repeats: bool = False
    ) -> None:
        """Let clips from now on have that link, blocks stay or not, and cuDNN add in the same order
        each time or not; count from here.

        Raises: InvalidError (the probe fails).
        """
        link = () if link_gb_s is None else ("--link", str(link_gb_s))
        self._probe(
            [*link, *(() if keeps else ("--keep-none",)), *(("--repeat",) if repeats else ())]
        )

    def seen(self, folder: Path | None = None) -> Seen | None:
        """What its probe saw since; None where it has ended.

        Host memory is that beside `folder`. Raises: InvalidError (the probe fails).
        """
        if self.ended:
            return None
        beside = () if folder is None else ("--folder", str(folder))
        self._probe(["--report", str(self._report), *beside])
        told: dict[str, Any] = json.loads(self._report.read_bytes())
        plans = tuple((tuple(p["sizes"]), frozenset(p["kept"])) for p in told.pop("plans"))
        return Seen(plans, **told)

    def _probe(self, argv: Sequence[str]) -> None:
        if (failure := self.make(_PROBE, argv).failure) is not None:
            raise InvalidError(f"the probe failed: {failure}", remedy=f"see {self._log.name}")


@dataclass(slots=True)
class _Stages:
    """When the steps of the first stage were over."""

    _at_s: list[float] = field(default_factory=list)
    _over: bool = False

    def step(self, done: int) -> None:
        self._over |= done == 1 and bool(self._at_s)
        if not self._over:
            self._at_s.append(time.monotonic())

    @property
    def step_s(self) -> float | None:
        steady = [after - before for before, after in pairwise(self._at_s[_STEADY_FROM - 1 :])]
        return median(steady) if steady else None

"""Inside the child of parked weights, as a request between those for clips.

`--link GB_S`, where none is named the machine's own, `--keep-none` and `--repeat`, with which cuDNN
adds in the same order each time, hold for the clips that come next, for which the card is emptied
of what the allocator keeps. `--report FILE` writes what was
seen of those since: as JSON the bytes and seconds of copies to the card, which blocks stayed there
for which inputs, and the host memory of the process now, but for what `--folder` holds.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from ltx_core.parked import passing
from ltx_core.parked.unit import Unit

from verify.campaigns.host_pages import host_bytes

_TRIED_BYTES = 256 << 20
_TRIED_CYCLES = 100_000_000
_TIMES = 4


class Probe:
    """Stands between the store and the card, from the first request on."""

    def __init__(self) -> None:
        self._wait_s_per_byte = 0.0  # beyond what the copy itself takes
        self._cycles_per_s = 0.0
        self._keeps = True
        self._plans: list[dict[str, list[int]]] = []
        self._copies: list[tuple[int, torch.cuda.Event, torch.cuda.Event]] = []
        passing.kept_blocks = self._chosen(passing.kept_blocks)
        Unit.copy_to = self._timed(Unit.copy_to)

    def begin(self, link_gb_s: float | None, *, keeps: bool, repeats: bool) -> None:
        """Forget what was seen; clips from now on have that link, keep blocks or none, and equal
        those that are made of the same, or need not.
        """
        gc.collect()
        torch.backends.cudnn.deterministic = repeats
        self._keeps, self._wait_s_per_byte = keeps, 0.0
        self._plans.clear()
        self._copies.clear()
        if not torch.cuda.is_available():
            return
        if link_gb_s is not None:
            self._cycles_per_s = self._cycles_per_s or _cycles_per_s()
            self._wait_s_per_byte = max(1e-9 / link_gb_s - _seconds_per_byte(), 0.0)
        torch.cuda.empty_cache()

    def report(self, folder: Path | None) -> dict[str, Any]:
        """What was seen since."""
        if self._copies:
            torch.cuda.synchronize()
        return {
            "plans": self._plans,
            "copied_bytes": sum(nbytes for nbytes, _, _ in self._copies),
            "copied_s": sum(_seconds(begin, end) for _, begin, end in self._copies),
            "host_bytes": host_bytes("self", folder),
        }

    def _chosen(self, kept_blocks: Callable[..., frozenset[int]]) -> Callable[..., frozenset[int]]:
        def chosen(sizes: Sequence[int], room: int) -> frozenset[int]:
            kept = kept_blocks(sizes, room) if self._keeps else frozenset[int]()
            self._plans.append({"sizes": list(sizes), "kept": sorted(kept)})
            return kept

        return chosen

    def _timed(self, copy_to: Callable[..., None]) -> Callable[..., None]:
        def timed(unit: Any, buffer: torch.Tensor) -> None:
            if not torch.cuda.is_available():
                copy_to(unit, buffer)
                return
            begin = _now()
            copy_to(unit, buffer)
            if self._wait_s_per_byte:
                _spin(int(unit.nbytes * self._wait_s_per_byte * self._cycles_per_s))
            self._copies.append((unit.nbytes, begin, _now()))

        return timed


def _now() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # torch's own
    event.record()
    return event


def _seconds(begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 1000


def _spin(cycles: int) -> None:
    """Keep the current stream busy, with a single thread of the card."""
    torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call] # noqa: SLF001 - torch's own


def _cycles_per_s() -> float:
    _spin(_TRIED_CYCLES)
    begin = _now()
    _spin(_TRIED_CYCLES)
    end = _now()
    torch.cuda.synchronize()
    return _TRIED_CYCLES / _seconds(begin, end)


def _seconds_per_byte() -> float:
    there = torch.empty(_TRIED_BYTES, dtype=torch.uint8, device="cuda")
    here = torch.empty(_TRIED_BYTES, dtype=torch.uint8).pin_memory()
    there.copy_(here, non_blocking=True)
    begin = _now()
    for _ in range(_TIMES):
        there.copy_(here, non_blocking=True)
    end = _now()
    torch.cuda.synchronize()
    return _seconds(begin, end) / (_TIMES * _TRIED_BYTES)


_probes: list[Probe] = []  # one, once it was asked for


def main() -> None:
    """Do what stands in sys.argv."""
    parser = argparse.ArgumentParser(prog="python -m verify.campaigns.parked_probe")
    parser.add_argument("--link", type=float)
    parser.add_argument("--keep-none", action="store_true")
    parser.add_argument("--repeat", action="store_true")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if not _probes:
        _probes.append(Probe())
    if args.report is None:
        _probes[0].begin(args.link, keeps=not args.keep_none, repeats=args.repeat)
    else:
        args.report.write_text(json.dumps(_probes[0].report(args.folder)), encoding="utf-8")

"""Runs the tasks of a row: clips in one child, first clips, many requests, two that share."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ltx2_patcher.boundaries import proc
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.rules.models.card import GIB
from verify.campaigns.cold_start import prepare
from verify.campaigns.host_pages import bytes_in
from verify.campaigns.parked_cases import FOLDER_FLAG, Clip, Cold, Drift, Row, Sharing, Task
from verify.campaigns.parked_checks import Run
from verify.campaigns.parked_session import Made, Seen, Session
from verify.upstream.command_line import command_line
from verify.upstream.tree import script_environment

_PROMPT = "A red fox crosses a snowy clearing at dawn, stops, and looks up at a passing crow."
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that processes share memory in


class Runner:
    """Runs one checkout's scripts; a context manager, at whose end no process of it is left.

    `work` is a folder for what it writes meanwhile.
    """

    def __init__(self, tree: Path, gpu: Gpu | None, work: Path) -> None:
        self._tree, self._gpu, self._work = tree, gpu, work
        self._out = work / "clip.mp4"
        self._session: Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let go of what it has in memory."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def run(
        self, row: Row, task: Task, models: Mapping[str, Path], arithmetic_s: float | None
    ) -> Run:
        """What the task comes to with these models, by the flags that name them.

        `arithmetic_s` is what a step takes with every block on the card, where that is known.
        """
        match task:
            case Clip():
                return self._clips(row, task, models, arithmetic_s)
            case Cold():
                return self._cold(row, task, models)
            case Drift():
                return self._drift(row, task, models)
            case Sharing():
                return self._sharing(row, task, models)

    def _clips(
        self, row: Row, clip: Clip, models: Mapping[str, Path], arithmetic_s: float | None
    ) -> Run:
        if clip.budget is None and self._session is not None and self._session.parked:
            self.end()  # its allocator stays held to the last budget
        session = self._running()
        of = (row.script, *row.files.flags, *row.flags)
        count = clip.clips + (clip.again and of not in session.parked)
        session.begin(clip.link_gb_s, keeps=clip.keeps, repeats=row.repeats)
        made, digests = self._made(session, row, [clip] * count, models)
        if clip.budget is not None:
            session.parked.add(of)
        figures = _figures(made[-1].step_s, session.seen(), arithmetic_s)
        return _run(row, clip.way, clip, made, digests, figures)

    def _cold(self, row: Row, cold: Cold, models: Mapping[str, Path]) -> Run:
        self.end()
        variables = script_environment(self._tree, self._gpu)
        prepare(models.values(), f"ltx_pipelines.{row.script}", variables)
        argv = self._argv(row, cold.clip, models)
        if cold.script:
            command = [sys.executable, "-m", f"ltx_pipelines.{row.script}", *argv]
            began_s = time.monotonic()
            done = proc.call(command, env=variables)
            made = Made(time.monotonic() - began_s, failure=done.complaint if done.code else None)
            return _run(row, cold.way, cold.clip, [made], self._taken(made))
        with Session(self._tree, self._gpu, self._work) as session:
            own = session.make(f"ltx_pipelines.{row.script}", argv)
            made = Made(session.age_s, own.reserved_bytes, own.failure)
        return _run(row, cold.way, cold.clip, [made], self._taken(made))

    def _drift(self, row: Row, drift: Drift, models: Mapping[str, Path]) -> Run:
        session = self._running()
        session.begin()
        made: list[Made] = []
        figures: dict[str, float] = {}
        for number in range(drift.rounds):
            ended, _ = self._made(session, row, drift.clips, models)
            made += ended
            if made[-1].failure is not None:
                break
            if number in {0, drift.rounds - 1} and (seen := session.seen()) is not None:
                at = "first" if number == 0 else "last"
                figures[f"{at}_reserved_gib"] = _gib(max(one.reserved_bytes for one in ended))
                figures[f"{at}_host_gib"] = _gib(seen.host_bytes)
        return _run(row, drift.way, drift.clips[0], made, figures=figures)

    def _sharing(self, row: Row, sharing: Sharing, models: Mapping[str, Path]) -> Run:
        self.end()
        made: list[Made] = []
        digests: list[str] = []
        figures: dict[str, float] = {}
        with (
            _folder() as folder,
            Session(self._tree, self._gpu, self._work) as first,
            Session(self._tree, self._gpu, self._work) as second,
        ):
            for session, name in ((first, "one"), (second, "two")):
                ended, written = self._made(
                    session, row, [sharing.clip], models, (FOLDER_FLAG, str(folder))
                )
                made += ended
                digests += written
                if made[-1].failure is not None:
                    break
                seen = [one.seen(folder) for one in (first, second)[: len(made)]]
                own = sum(one.host_bytes for one in seen if one is not None)
                figures[f"{name}_gib"] = _gib(own + bytes_in(folder))
        return _run(row, sharing.way, sharing.clip, made, digests, figures)

    def _running(self) -> Session:
        if self._session is None or self._session.ended:
            self._session = Session(self._tree, self._gpu, self._work)
        return self._session

    def _made(
        self,
        session: Session,
        row: Row,
        clips: Sequence[Clip],
        models: Mapping[str, Path],
        flags: Sequence[str] = (),
    ) -> tuple[list[Made], list[str]]:
        """How each clip ended, until one fails, and the digests of those that were made."""
        made: list[Made] = []
        digests: list[str] = []
        for clip in clips:
            argv = self._argv(row, clip, models, flags)
            made.append(session.make(f"ltx_pipelines.{row.script}", argv))
            digests += self._taken(made[-1])
            if made[-1].failure is not None:
                break
        return made, digests

    def _argv(
        self, row: Row, clip: Clip, models: Mapping[str, Path], flags: Sequence[str] = ()
    ) -> list[str]:
        parking = () if clip.budget is None else ("--vram-budget", str(clip.budget))
        return command_line(
            self._tree,
            row.script,
            models,
            clip.shape,
            prompt=_PROMPT,
            seed=7,
            out=self._out,
            flags=(*row.files.flags, *row.flags, *parking, *flags),
        )

    def _taken(self, made: Made) -> list[str]:
        """The digest of the clip that was made, which is removed."""
        if made.failure is not None:
            return []
        digest = hashlib.sha256(self._out.read_bytes()).hexdigest()
        self._out.unlink()
        return [digest]


def _figures(
    step_s: float | None, seen: Seen | None, arithmetic_s: float | None
) -> dict[str, float]:
    """What a step of the first stage took, and what its plan and the link let expect."""
    from ltx_core.parked.passing import SEATS
    from ltx_core.parked.plan import pass_seconds

    figures: dict[str, float] = {}
    if step_s is not None:
        figures["step_s"] = round(step_s, 3)
    if seen is None or not seen.plans:
        return figures
    sizes, kept = seen.plans[0]
    figures |= {"blocks": len(sizes), "kept_blocks": len(kept)}
    if seen.copied_s:
        bytes_per_s = seen.copied_bytes / seen.copied_s
        figures["link_gb_s"] = round(bytes_per_s / 1e9, 2)
        if arithmetic_s is not None:
            each_s = [arithmetic_s / len(sizes)] * len(sizes)
            reckoned_s = pass_seconds(sizes, kept, each_s, bytes_per_s, SEATS)
            figures["reckoned_s"] = round(reckoned_s, 3)
    return figures


def _run(
    row: Row,
    way: str,
    clip: Clip,
    made: Sequence[Made],
    digests: Sequence[str] = (),
    figures: Mapping[str, float] | None = None,
) -> Run:
    reserved = max(one.reserved_bytes for one in made)
    return Run(
        case=row.name,
        way=way,
        pipeline=row.script,
        width=clip.shape.width,
        height=clip.shape.height,
        frames=clip.shape.frames,
        steps=clip.shape.steps,
        budget_gib=clip.budget,
        seconds=tuple(round(one.seconds, 2) for one in made if one.failure is None),
        reserved_gib=_gib(reserved) if reserved else None,
        clips=tuple(digests),
        figures=figures or {},
        failure=next((one.failure for one in made if one.failure is not None), None),
    )


def _gib(nbytes: int) -> float:
    return round(nbytes / GIB, 2)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in shared memory, which is gone in the end."""
    folder = Path(tempfile.mkdtemp(dir=_SHARED_MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

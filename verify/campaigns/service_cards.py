"""The rows of the campaign whose clips are made by the real scripts, on one card or several."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.proc import Talk
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.values.errors import OutsideError
from verify.campaigns import service_pollers
from verify.campaigns import service_rows as rows
from verify.campaigns.service_bench import Bench, variables
from verify.campaigns.service_client import Client, Followed, Told, Video, is_end, runs, steps
from verify.campaigns.service_rows import Figures, Run, spread
from verify.upstream.command_line import ClipShape

PROMPT = "A red fox crosses a snowy clearing at dawn, stops, and looks up at a passing crow."
USUAL, TIGHT = "usual", "tight"
"""Names of models; the second is held to less of the card than its clips take."""
_KILLS, _CANCELS, _CANCELLED_IN = 3, 5, 0.8
_KILLED_CLIPS = 10  # a card, that are asked for beside those of the rate
_CLIP_S = 240.0  # that a clip may take at most, its load included
_COPIED_S, _POLLED_S = 3.0, 10.0
_ALL = 1_000_000  # clips, more than there are
TOO_LARGE = ClipShape(1920, 1088, 129)
"""More tokens than any clip whose need was measured: the gate warns, and lets it try."""


@dataclass(frozen=True, slots=True)
class Cards:
    """One service, whose rows share what its workers have loaded."""

    bench: Bench
    python: Path  # of what renders
    shape: ClipShape
    large: ClipShape  # what out_of_memory asks for
    clips: int  # a card, of the rate

    @property
    def rows(self) -> Mapping[str, Callable[[Mapping[str, Run]], Figures]]:
        """What each row runs, given the runs before it."""
        return {
            rows.CARD_START: self.start,
            rows.CARD_LINKS: self.links,
            rows.SHARED: self.sharing,
            rows.SCALED: self.scaling,
            rows.CARD_POLLED: self.polled,
            rows.CARD_RESTART: self.restart,
            rows.CARD_CANCEL: self.cancel,
            rows.CARD_MEMORY: self.out_of_memory,
        }

    def start(self, _before: Mapping[str, Run]) -> Figures:
        """From the start of the service, which was just now, until each card has made a step."""
        names = [self._post(gpu_id=gpu) for gpu in self._gpus]
        ahead_s = time.time() - time.monotonic()
        stepped = [at_s - ahead_s - self.bench.began_s for at_s in self._await_steps(names)]
        for _ in self.bench.client.ended(names, _CLIP_S):
            pass
        return {"first_s": min(stepped), "last_s": max(stepped)}

    def links(self, _before: Mapping[str, Run]) -> Figures:
        """What arrives of copies from the host at one card alone, and at each of all at once."""
        with ExitStack() as stack:
            copying: list[Talk] = []
            for gpu in self._gpus:
                argv = [str(self.python), "-m", "verify.campaigns.service_links"]
                own = {**variables(), "CUDA_VISIBLE_DEVICES": str(gpu)}
                copying.append(stack.enter_context(Talk(argv, own, sys.stderr.buffer)))
            for one in copying:
                _line_of(one)
            alone, *_ = _copied(copying[:1])
            together = _copied(copying)
        return {
            "alone_gb_s": alone / 1e9,
            "least_gb_s": min(together) / 1e9,
            "of_alone": min(together) / alone,
        }

    def sharing(self, _before: Mapping[str, Run]) -> Figures:
        """Host memory with one worker's weights, then with all; how long each took to load."""
        figures: dict[str, float] = {}
        for at, gpu in enumerate(self._gpus):
            load_s = self._load(gpu)
            if at in {0, len(self._gpus) - 1}:
                name = "all" if at else "one"
                figures[f"{name}_gib"] = self.bench.host_bytes() / GIB
                figures[f"{name}_load_s"] = load_s
        if len(self._gpus) > 1:
            figures["ratio"] = figures["all_gib"] / figures["one_gib"]
        return figures

    def scaling(self, before: Mapping[str, Run]) -> Figures:
        """Clips a minute of one card and of all, asked for through both APIs; then workers are
        killed, and no clip is lost.
        """
        self._warm()
        one_s = self._seconds([self._post(gpu_id=self._gpus[0]) for _ in range(self.clips)])
        whole = len(self._gpus) * self.clips
        asked = whole + _KILLED_CLIPS * len(self._gpus)
        with self._through_both(asked) as (names, answers):
            began_s, all_s, killing = time.monotonic(), 0.0, _Killing(self.bench)
            ended: list[Video] = []
            for video, at_s in self.bench.client.ended(names, len(names) * _CLIP_S):
                ended.append(video)
                if len(ended) == whole:
                    all_s = at_s - began_s
                if len(ended) >= whole and killing.count < _KILLS:
                    killing.kill(names)
            unanswered = sum(answer.exception() is not None for answer in answers)
        loads = [run.figures.get("all_load_s") for run in before.values()]
        one, every = 60 * self.clips / one_s, 60 * whole / all_s
        return {
            "clips": len(names),
            "lost": len(names) - sum(video["status"] == "completed" for video in ended),
            "unanswered": unanswered,
            "attempts": sum(video["attempt"] for video in ended),
            "one_per_minute": one,
            "all_per_minute": every,
            "times": every / one,
            "of_each": every / one / len(self._gpus),
            "kills": killing.count,
            **killing.figures,
            "load_s": next((load for load in loads if load is not None), 0.0),
        }

    def polled(self, _before: Mapping[str, Run]) -> Figures:
        """Status, asked by many clients while every card makes clips."""
        self._warm()
        names = [self._post(gpu_id=gpu) for gpu in self._gpus for _ in range(self.clips)]
        self._await_steps(names[:: self.clips])
        figures = service_pollers.polled(self.bench.port, names, _POLLED_S)
        for name in names:
            self.bench.client.ask("DELETE", f"/v1/videos/{name}")
        return figures

    def restart(self, _before: Mapping[str, Run]) -> Figures:
        """The API is killed with a clip on every card, and begun again."""
        self._warm()
        names = [self._post(gpu_id=gpu) for gpu in self._gpus]
        self._await_steps(names)
        self.bench.kill()
        serving_s = self.bench.start()
        ended = [video for video, _ in self.bench.client.ended(names, _CLIP_S)]
        return {
            "serving_max_s": serving_s,
            "attempts": max(video["attempt"] for video in ended),
            "lost": sum(video["status"] != "completed" for video in ended),
        }

    def cancel(self, _before: Mapping[str, Run]) -> Figures:
        """From asking to the end, at moments between a clip's first step and its last part."""
        self._warm()
        chance = random.Random(0)  # noqa: S311 - moments, not secrets
        with self._followed(self._post()) as whole:
            whole.first(is_end, _CLIP_S)
            at_s = [told.at_s for told in whole.told if told.kind == "progress"]
            stepped_s = whole.first(steps, 0).at_s
            span_s = whole.told[-1].at_s - stepped_s
        point_s = max(after - one for one, after in pairwise(at_s) if after > stepped_s)
        took: list[float] = []
        for _ in range(_CANCELS):
            name = self._post()
            with self._followed(name) as clip:
                clip.first(steps, _CLIP_S)
                time.sleep(chance.uniform(0, _CANCELLED_IN * span_s))
                asked_s = time.time()
                self.bench.client.json("DELETE", f"/v1/videos/{name}")
                end = clip.first(is_end, _CLIP_S)
            if end.data.get("code") == "cancelled":
                took.append(end.at_s - asked_s)
        if not took:
            raise OutsideError("every clip was made first", remedy="run the row again")
        return {"cancels": len(took), "point_s": point_s, **spread("cancel", took)}

    def out_of_memory(self, _before: Mapping[str, Run]) -> Figures:
        """A clip that is too large for its budget, then one that is not, on the same card."""
        self._warm()
        gpu = self._gpus[0]
        large = self._post(TIGHT, self.large, gpu_id=gpu)
        usual = self._post(gpu_id=gpu)
        ended = {video["id"]: video for video, _ in self.bench.client.ended([large, usual], 120)}
        failure = ended[large]["error"] or {"code": "none"}
        print(f"   the large one: {failure}", flush=True)
        return {
            "out_of_memory": int(failure["code"] == "out_of_memory"),
            "failed": int(ended[usual]["status"] != "completed"),
        }

    @property
    def _gpus(self) -> tuple[int, ...]:
        return self.bench.setting.gpus

    def _post(self, model: str = USUAL, shape: ClipShape | None = None, **fields: object) -> str:
        shape = shape or self.shape
        size = f"{shape.width}x{shape.height}"
        fields |= {"model": model, "size": size, "num_frames": shape.frames, "seed": 7}
        return self.bench.client.post(PROMPT, **fields)

    def _followed(self, name: str) -> Followed:
        return Followed(self.bench.port, name)

    def _load(self, gpu: int) -> float:
        """A clip on that card, to its end; the seconds until its first step."""
        began_s = time.time()
        with self._followed(self._post(gpu_id=gpu)) as clip:
            stepped = clip.first(steps, _CLIP_S)
            if (end := clip.first(is_end, _CLIP_S)).kind != "completed":
                raise OutsideError(f"the clip failed: {end.data}", remedy="see the worker's log")
        return stepped.at_s - began_s

    def _warm(self) -> None:
        """Every card has the weights, and nothing to do."""
        self.bench.await_idle()
        for gpu in self._gpus:
            if gpu not in self.bench.warm():
                self._load(gpu)
        self.bench.await_idle()

    def _await_steps(self, names: Sequence[str]) -> list[float]:
        """When each clip had made its first step, in seconds since 1970."""
        with ExitStack() as stack:
            clips = [stack.enter_context(self._followed(name)) for name in names]
            return [clip.first(steps, _CLIP_S).at_s for clip in clips]

    @contextmanager
    def _through_both(self, count: int) -> Iterator[tuple[list[str], list[Future[Any]]]]:
        """So many clips, one half asked for as OpenAI's clients do, the other by the API that
        answers once a clip is done; the names of all, and the answers of that half.
        """
        client, half = self.bench.client, count // 2
        shape = {"width": self.shape.width, "height": self.shape.height}
        body = {"prompt": PROMPT, **shape, "num_frames": self.shape.frames, "seed": 7}

        def made() -> Video:
            own = Client(self.bench.port, answer_s=count * _CLIP_S)
            return own.json("POST", "/generate/text2video", body)

        def new() -> list[str]:
            return [name for name in client.videos(_ALL) if name not in before]

        before = client.videos(_ALL).keys()
        with ThreadPoolExecutor(max(half, 1)) as asking:
            answers = [asking.submit(made) for _ in range(half)]
            for _ in range(count - half):
                self._post()
            end_s = time.monotonic() + _CLIP_S
            while len(names := new()) < count:
                if time.monotonic() > end_s:
                    raise OutsideError(
                        f"{count - len(names)} clips were not accepted",
                        remedy="see the service's log",
                    )
                time.sleep(0.05)
            yield names, answers

    def _seconds(self, names: Sequence[str]) -> float:
        """Until all have ended."""
        began_s = time.monotonic()
        ends = [at_s for _, at_s in self.bench.client.ended(names, len(names) * _CLIP_S)]
        return max(ends) - began_s


def _copied(copying: Sequence[Talk]) -> list[float]:
    """Bytes a second that arrived at each card, all at once. Raises: OutsideError."""
    for one in copying:
        one.send(str(_COPIED_S).encode())
    return [float(_line_of(one)) for one in copying]


def _line_of(one: Talk) -> bytes:
    while (lines := one.lines(_CLIP_S)) is not None:
        if lines:
            return lines[0]
    raise OutsideError("what copies to a card has ended", remedy="see its words above")


class _Killing:
    """Workers that are killed one after another, and when their clips ran again."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._again: list[float] = []
        self._stepped: list[float] = []
        self.count = 0

    @property
    def figures(self) -> Figures:
        """From each kill until the clip is in hand again, and until its first step."""
        if not self._again:
            return {}
        return spread("claimed", self._again) | spread("again", self._stepped)

    def kill(self, names: Sequence[str]) -> None:
        """Kill the worker of a clip that has made a step, and wait until it makes one again."""
        end_s = time.monotonic() + _CLIP_S
        while (running := self._running(names)) is None:
            if time.monotonic() > end_s:
                raise OutsideError("no clip runs", remedy="see the service's log")
            time.sleep(0.02)
        name, worker, attempt = running
        with Followed(self._bench.port, name) as clip:
            killed_s = time.time()
            self._bench.kill_worker(int(worker.removeprefix("gpu")))
            claimed = clip.first(lambda told: runs(told, attempt + 1), _CLIP_S)

            def steps_again(told: Told) -> bool:
                return steps(told) and told.at_s > claimed.at_s

            stepped = clip.first(steps_again, _CLIP_S)
        self.count += 1
        self._again.append(claimed.at_s - killed_s)
        self._stepped.append(stepped.at_s - killed_s)
        print(f"   gpu worker {worker} killed: {self._stepped[-1]:.1f} s", flush=True)

    def _running(self, names: Sequence[str]) -> tuple[str, str, int] | None:
        """A clip that denoises, its worker and its attempt; each card's turn comes."""
        now: list[dict[str, Any]] = [*self._bench.client.videos(len(names)).values()]
        found = [
            (one["id"], one["worker"], one["attempt"])
            for one in now
            if one["status"] == "in_progress" and one["progress"] and one["stage"] == "denoising"
        ]
        gpus = self._bench.setting.gpus
        turn = f"gpu{gpus[self.count % len(gpus)]}"
        return next((one for one in found if one[1] == turn), None)

"""The rows of the campaign that need no card: with a fake renderer, and with tiny models."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from ltx2_patcher.values.errors import OutsideError
from verify.campaigns import service_pollers
from verify.campaigns import service_rows as rows
from verify.campaigns.service_bench import Bench
from verify.campaigns.service_client import Client, Followed, is_end, runs
from verify.campaigns.service_rows import Figures, Run, spread

_CLIPS, _CANCELS, _KILLS, _RESTARTS = 200, 100, 10, 3
_POLLED_S, _QUEUED = 20, 20
_POINT_S = 0.1
_CLIP_S = 60.0
_SHORT = {"size": "128x128", "num_frames": 9}
_LONG = {"size": "256x256", "num_frames": 33}
"""Of tiny models: clips that take about a second on a CPU, and some."""

Measure = Callable[[Bench, Mapping[str, Run]], Figures]


def overhead(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """What a clip takes beside itself: until it is accepted, until it begins, and from its end
    until that is told.
    """
    accepted, begun, told = [], [], []
    bench.await_idle()
    client = Client(bench.port)
    for _ in range(_CLIPS):
        asked_s = time.time()
        name = client.post("--steps 1 --step-s 0.05 --times")
        accepted.append(time.time() - asked_s)
        with Followed(bench.port, name) as clip:
            end = clip.first(is_end, _CLIP_S)
        _, content = client.ask("GET", f"/v1/videos/{name}/content")
        began_s, done_s = map(float, content.split())
        begun.append(began_s - asked_s)
        told.append(end.at_s - done_s)
    return {
        "clips": len(accepted),
        **spread("accepted", accepted, unit="ms"),
        **spread("begun", begun, unit="ms"),
        **spread("told", told, unit="ms"),
    }


def cancel(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """From asking to the end, at moments of a clip whose points are `_POINT_S` apart."""
    bench.await_idle()
    chance, took = random.Random(0), []  # noqa: S311 - moments, not secrets
    for _ in range(_CANCELS):
        name = bench.client.post(f"--steps 600 --step-s {_POINT_S}")
        with Followed(bench.port, name) as clip:
            clip.first(runs, _CLIP_S)
            time.sleep(chance.uniform(0, 2 * _POINT_S))
            asked_s = time.time()
            bench.client.json("DELETE", f"/v1/videos/{name}")
            took.append(clip.first(is_end, _CLIP_S).at_s - asked_s)
    return {"cancels": len(took), "point_s": _POINT_S, **spread("cancel", took)}


def killed(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """A worker is killed; when its clip is made again."""
    bench.await_idle()
    again, lost = [], 0
    for _ in range(_KILLS):
        name = bench.client.post("--steps 30 --step-s 0.05")
        with Followed(bench.port, name) as clip:
            clip.first(lambda told: told.kind == "progress" and told.data["step"] > 0, _CLIP_S)
            killed_s = time.time()
            bench.kill_worker(0)
            again.append(clip.first(lambda told: runs(told, 2), _CLIP_S).at_s - killed_s)
            lost += clip.first(is_end, _CLIP_S).kind != "completed"
    return {"kills": len(again), "lost": lost, **spread("again", again)}


def polled(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """Status, asked by many clients while a clip runs and others wait."""
    bench.await_idle()
    names = [bench.client.post("--steps 600 --step-s 0.1") for _ in range(_QUEUED)]
    figures = service_pollers.polled(bench.port, names, _POLLED_S)
    for name in names:
        bench.client.json("DELETE", f"/v1/videos/{name}")
    return figures


def memory_full(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """A clip runs out of memory; the next is made."""
    bench.await_idle()
    full = bench.client.post("--fail 'CUDA out of memory. Tried to allocate 9.00 GiB'")
    after = bench.client.post("--steps 1")
    ended = {video["id"]: video for video, _ in bench.client.ended([full, after], _CLIP_S)}
    if ended[full]["error"]["code"] != "out_of_memory":
        raise OutsideError(f"it failed of {ended[full]['error']}", remedy="see rules/failures.py")
    return {
        "failed": int(ended[after]["status"] != "completed"),
        "attempts": ended[after]["attempt"],
    }


def demo(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """From the start of the service to a clip of the real scripts; it was begun just now."""
    (video, at_s), *_ = bench.client.ended([bench.client.post("A red fox.", **_SHORT)], _CLIP_S * 2)
    if video["status"] != "completed":
        raise OutsideError(f"it failed of {video['error']}", remedy="see the worker's log")
    return {"first_clip_s": at_s - bench.began_s}


def restart(bench: Bench, _before: Mapping[str, Run]) -> Figures:
    """The API is killed with a clip under way, and begun again."""
    serving, attempts, lost = [], [], 0
    for _ in range(_RESTARTS):
        bench.await_idle()
        name = bench.client.post("A red fox.", **_LONG)
        with Followed(bench.port, name) as clip:
            clip.first(lambda told: told.kind == "progress" and told.data["step"] > 0, _CLIP_S)
        bench.kill()
        serving.append(bench.start())
        (video, _), *_ = bench.client.ended([name], 2 * _CLIP_S)
        attempts.append(video["attempt"])
        lost += video["status"] != "completed"
    return {"attempts": max(attempts), "lost": lost, **spread("serving", serving)}


MEASURES: Mapping[str, Measure] = {
    rows.OVERHEAD: overhead,
    rows.OVERHEAD_SHM: overhead,
    rows.CANCEL: cancel,
    rows.LOST: killed,
    rows.POLLED: polled,
    rows.MEMORY_FULL: memory_full,
    rows.DEMO: demo,
    rows.RESTART: restart,
}
"""What each row runs, with a service of its own."""

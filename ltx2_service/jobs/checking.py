"""Look over the settings before anything loads: `serve check`, and each start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ltx2_patcher.boundaries.machine import Gpu, free_bytes, gpus
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.errors import PatcherError, UsageError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_service.boundaries.folders import network_file_system, require_writable
from ltx2_service.boundaries.listening import listen, url_of
from ltx2_service.boundaries.lock import busy, holder, is_held
from ltx2_service.boundaries.ray.process import machines, require_ray, require_token
from ltx2_service.boundaries.serve_file import others_may_read
from ltx2_service.rules.access import refuse_open_door
from ltx2_service.values.job import Wanted
from ltx2_service.values.judged import Judge
from ltx2_service.values.settings import Cluster, Model, Settings

_LITTLE_BYTES = 10 * 1024**3
_SAMPLE = "A red fox crosses a snowy clearing."


def examine(settings: Settings, judge: Judge, file: Path) -> Iterator[Finding]:
    """Every finding, as it is made; `file` is where the settings stand.

    A service that runs on them already is no failure.
    """
    yield from _found("tokens", lambda: _tokens(settings, file))
    yield from _found("address", lambda: _address(settings))
    yield from _found("state", lambda: _folder("state", settings.state))
    yield from _found("clips", lambda: _folder("clips", settings.clips))
    if settings.image_root is not None:
        yield from _found("image_root", lambda: _image_root(settings))
    if settings.cluster is None:
        yield from _found("gpus", lambda: _cards(settings))
    else:
        yield from _cluster(settings, settings.cluster)
    for model in settings.models:
        yield from _model(model, judge)


def _found(name: str, check: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield check()
    except PatcherError as error:
        yield _failure(name, error)


def _failure(name: str, error: PatcherError) -> Finding:
    return Finding(name, Level.FAILURE, str(error), error.remedy)


def _tokens(settings: Settings, file: Path) -> Finding:
    if not settings.tokens:
        fact = "none: every program of this machine may ask for clips"
        return Finding("tokens", Level.OK, fact)
    fact = f"of {', '.join(sorted(settings.tokens.values()))}"
    if others_may_read(file):
        return Finding(
            "tokens", Level.WARNING, f"{file} can be read by others", f"run `chmod 600 {file}`"
        )
    return Finding("tokens", Level.OK, fact)


def _address(settings: Settings) -> Finding:
    refuse_open_door(settings)
    where = url_of(settings.host, settings.port)
    if is_held(settings.state):
        there = holder(settings.state)
        if there is not None and there.port == settings.port:
            fact = f"process {there.pid} serves {where} already"
            return Finding("address", Level.OK, fact)
        raise busy(settings.state, there)
    listen(settings.host, settings.port).close()
    return Finding("address", Level.OK, f"{where} is free")


def _folder(name: str, folder: Path) -> Finding:
    require_writable(folder)
    left = free_bytes(folder)
    fact = f"{folder}, {in_words(left)} free"
    kind = network_file_system(folder)
    if name == "state" and kind is not None:
        return Finding(
            name,
            Level.FAILURE,
            f"{folder} lies on {kind}, where the database would lose clips after a crash",
            "set state to a folder on a disk of this machine; clips may lie elsewhere",
        )
    if left < _LITTLE_BYTES:
        return Finding(name, Level.WARNING, fact, "free some space, or lower retain_days")
    return Finding(name, Level.OK, fact)


def _image_root(settings: Settings) -> Finding:
    root = settings.image_root
    if root is None or not root.is_dir():
        raise UsageError(f"there is no folder {root}", remedy="make it, or leave image_root out")
    return Finding("image_root", Level.OK, str(root))


def _cluster(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    """Ray, its token, the shared folder and the machines."""
    try:
        version = require_ray()
        require_token(cluster)
        yield _folder("shared", cluster.shared)
        there = machines(cluster, settings.tree)
    except PatcherError as error:
        yield _failure("ray", error)
        return
    for machine in there:
        if not machine.sees:
            yield Finding(
                machine.name,
                Level.FAILURE,
                f"it does not see what is written into {cluster.shared} here",
                "mount the same folder at that path on each machine",
            )
    cards = ", ".join(f"{machine.name} with {machine.cards}" for machine in there)
    fact = f"{version} at {cluster.address}, cards: {cards or 'none yet'}"
    if there:
        yield Finding("ray", Level.OK, fact)
    else:
        yield Finding(
            "ray", Level.WARNING, fact, "on each machine with cards: ltx2-patcher serve node"
        )


def _cards(settings: Settings) -> Finding:
    here = gpus()
    if not here:
        if settings.gpus not in {None, (0,)}:
            raise UsageError(
                "there is no NVIDIA card here", remedy="leave gpus out, or mend the driver"
            )
        return Finding(
            "gpus",
            Level.WARNING,
            "none: clips are made on the CPU, which only tiny models are small enough for",
            "use a machine with an NVIDIA card of 8 GB or more for real checkpoints",
        )
    if odd := sorted(set(settings.gpus or ()) - {gpu.index for gpu in here}):
        raise UsageError(
            f"there is no card {odd[0]}",
            remedy=f"choose of {', '.join(str(gpu.index) for gpu in here)}",
        )
    used = [gpu for gpu in here if settings.gpus is None or gpu.index in settings.gpus]
    return Finding("gpus", Level.OK, ", ".join(map(_card, used)))


def _card(gpu: Gpu) -> str:
    return f"{gpu.index}: {gpu.name} ({in_words(gpu.free_bytes)} free)"


def _model(model: Model, judge: Judge) -> Iterator[Finding]:
    """By the gate that its requests will pass."""
    try:
        judged = judge(Wanted(prompt=_SAMPLE, model=model.name, seed=0))
    except PatcherError as error:
        yield _failure(model.name, error)
        return
    size = f"{judged.width}x{judged.height}, {judged.num_frames} frames"
    fact = f"{model.pipeline} of {model.base}, of itself {size}"
    yield Finding(model.name, Level.OK, fact)
    for warning in judged.warnings:
        yield Finding(model.name, Level.WARNING, warning.fact, warning.remedy)

"""Make an environment in which the patched upstream runs, or complete one that exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.environment import (
    Environment,
    describe,
    install,
    make,
)
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.pipelines import source_paths
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.environment.requirements import Step, fresh_steps, joining_steps
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that is ready, or what it would take."""

    base: str
    python: Path
    added: tuple[str, ...]  # "torch==2.13.0"; empty where nothing was to do
    torch: str | None  # "cpu", or the CUDA version torch was built with
    dry_run: bool


def environment_path(store: Store, base: Base) -> Path:
    """Where the environment of a base lies."""
    return store.vendor / f"env-{base.name}"


def environment_python(store: Store, base: Base) -> Path:
    """Its interpreter. Raises: ConflictError where there is none yet."""
    python = environment_path(store, base) / "bin/python"
    if not python.exists():
        raise ConflictError(
            f"there is no environment for base {base.name} yet",
            remedy="run `make install`, or name one of your own with --python",
        )
    return python


def install_environment(
    store: Store, base: Base, progress: Progress, *, dry_run: bool = False
) -> Installed:
    """An environment of our own with the base's pins and the patched packages on its path.

    Judged by what is installed, so a run that was cut off is finished by the next.

    Raises: ConflictError without a patched checkout; OutsideError where pip, the disk or the
    network stop it; BusyError where another run is at it.
    """
    wanted = source_paths(checkout_path(store, base))
    folder = environment_path(store, base)
    python = folder / "bin/python"
    there = _whole(python)
    if there and _is_ready(there, base, wanted):
        return Installed(base.name, python, (), there.torch_build(), dry_run)
    if dry_run:
        steps = fresh_steps(base.environment, there.installed() if there else {})
        build = there.torch_build() if there else None
        return Installed(base.name, python, _names(steps), build, dry_run)
    with disk.locked(folder.with_name(f".{folder.name}.lock")):
        if there is None:
            progress(f"making {folder}")
            there = make(folder)
        there.sweep()
        steps = fresh_steps(base.environment, there.installed())
        _follow(there, steps, dict(base.environment), progress)
        _drop_foreign_libraries(there)
        there.link(wanted)
    return Installed(base.name, python, _names(steps), there.torch_build(), dry_run)


def join_environment(
    base: Base, python: Path, progress: Progress, *, dry_run: bool = False
) -> Installed:
    """Add to an environment of the user's what it lacks; what it has stays as it is.

    Raises: UsageError where `python` is none; ConflictError where its torch or transformers does
    not go with the base; OutsideError where pip, the disk or the network stop it.
    """
    there = describe(python)
    installed = there.installed()
    steps = joining_steps(base, installed, str(python))
    if steps and not dry_run:
        _follow(there, steps, installed, progress)
    return Installed(base.name, there.python, _names(steps), there.torch_build(), dry_run)


def _whole(python: Path) -> Environment | None:
    """The environment, unless its making was cut off: pip is what venv puts there last."""
    try:
        there = describe(python)
    except UsageError:
        return None
    return there if "pip" in there.installed() else None


def _is_ready(there: Environment, base: Base, wanted: tuple[Path, ...]) -> bool:
    foreign = there.torch_build() == "cpu" and there.compiled_torchaudio()
    complete = not fresh_steps(base.environment, there.installed())
    return complete and not foreign and there.linked() == wanted


def _follow(
    there: Environment, steps: tuple[Step, ...], keep: dict[str, str], progress: Progress
) -> None:
    for step in steps:
        progress(f"installing {' '.join(step.wanted)}")
        install(there, step, keep, progress)


def _drop_foreign_libraries(there: Environment) -> None:
    """Beside a CPU torch, torchaudio's CUDA libraries only keep it from being imported."""
    if there.torch_build() == "cpu":
        for library in there.compiled_torchaudio():
            with disk.translated(library):
                library.unlink()


def _names(steps: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(name for step in steps for name in step.wanted)

"""A pipeline of a patched tree as it can be started: its target for the gate, and its launch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk, machine
from ltx2_patcher.boundaries.baselines import BASELINES, read_needs
from ltx2_patcher.boundaries.child import MODULE as CHILD
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.jobs.launch.pipelines import pipelines_in, source_paths
from ltx2_patcher.jobs.models.target import Budget, Target
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.abilities import patched, shown
from ltx2_patcher.rules.models.pipelines import pick
from ltx2_patcher.rules.models.request import render_argv
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.series import Standing

_QUIET = ("-W", "ignore::RuntimeWarning:runpy")
"""ltx_pipelines imports its scripts, of which runpy warns whoever starts one; it means nothing."""
_LAUNCHED = Path(__file__).resolve().parents[2] / "launched"
"""Its sitecustomize keeps back what libraries log that means nothing."""
_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Where torch reads its allocator's settings, under the old name and the new."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to become."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Script:
    """A pipeline's script in a tree of upstream, with the environment that runs it."""

    tree: Path
    target: Target
    gpu: Gpu | None = None  # the one that was asked for; None leaves the choice to CUDA

    def launch(self, request: Request, variables: Mapping[str, str]) -> Launch:
        """How to start it for a request that the gate admitted; `variables` are to start from."""
        return self.started_with(render_argv(self.target.pipeline, request), variables)

    def started_with(self, words: Sequence[str], variables: Mapping[str, str]) -> Launch:
        """How to start it with these words behind its name."""
        return self._launch((self.module, *words), variables)

    def child(self, variables: Mapping[str, str]) -> Launch:
        """How to start the process that runs it for request after request."""
        return self._launch((CHILD,), variables)

    @property
    def module(self) -> str:
        """What to run with `python -m`."""
        return f"ltx_pipelines.{self.target.pipeline.name}"

    def _launch(self, words: Sequence[str], variables: Mapping[str, str]) -> Launch:
        return Launch(
            argv=(str(self.target.python.absolute()), *_QUIET, "-m", *words),
            variables=script_variables(variables, (*source_paths(self.tree), _LAUNCHED), self.gpu),
        )


def find_script(
    store: Store, base: Base, name: str, *, python: Path | None = None, gpu: int | None = None
) -> Script:
    """The pipeline `name` of a base's patched checkout.

    `python` names another environment than the base's own, `gpu` a card by nvidia-smi's index.

    Raises: UsageError for a name or a card that is none; ConflictError without a patched checkout
    or an environment.
    """
    tree = checkout_path(store, base)
    source_paths(tree)
    lock = store.lock(base.name)
    if judge(lock, disk.blob_ids(tree, lock.paths)).standing is Standing.UPSTREAM:
        raise ConflictError(f"{tree} is not patched", remedy="run `make patch`")
    chosen = None if gpu is None else machine.gpu(gpu)
    return script_in(
        store,
        tree,
        name,
        base=base.name,
        python=python or environment_python(store, base),
        gpus=machine.visible_gpus() if chosen is None else (chosen,),
        gpu=chosen,
    )


def script_in(
    store: Store,
    tree: Path,
    name: str,
    *,
    base: str,
    python: Path,
    gpus: Sequence[Gpu],
    gpu: Gpu | None = None,
    budget: Budget | None = None,
) -> Script:
    """The pipeline `name` of any tree of upstream, judged by what lies in it; `base` names it.

    Raises: UsageError for a name that is none.
    """
    target = Target(
        pipeline=pick(pipelines_in(tree), name),
        abilities=shown(base, lambda path: disk.read(tree / path)),
        others=tuple(map(patched, store.bases())),
        python=python,
        lora_names=store.lora_names(),
        gpus=tuple(gpus),
        budget=budget,
        needs=read_needs(store.root / BASELINES),
    )
    return Script(tree, target, gpu)


def script_variables(
    given: Mapping[str, str], sources: Sequence[Path], gpu: Gpu | None
) -> dict[str, str]:
    """The variables of a process that runs upstream's code from `sources`."""
    path = [str(folder) for folder in sources]
    if before := given.get("PYTHONPATH"):
        path.append(before)
    variables = {**given, "PYTHONPATH": os.pathsep.join(path)}
    if machine.has_nvidia():
        variables = machine.BY_BUS | variables
        if not any(name in given for name in _ALLOCATOR):
            # Stage 2 allocates other sizes than stage 1; without it fragmentation takes 1 GiB.
            variables[_ALLOCATOR[0]] = "expandable_segments:True"
    return variables if gpu is None else variables | gpu.variables

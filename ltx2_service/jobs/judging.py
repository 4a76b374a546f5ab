"""The one gate, asked for the service: a wanted clip as the words that `run` would be given."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import machine, proc
from ltx2_patcher.boundaries.disk import blob_ids
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store as Toolkit
from ltx2_patcher.jobs.launch.script import Script, find_script
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.rules.models.batch import with_budget
from ltx2_patcher.rules.models.parked import refusal_of_parking
from ltx2_patcher.rules.models.request import parse_over, render_argv
from ltx2_service.boundaries.host import memory_beside_workers
from ltx2_service.rules.offer import refusal_of_pipeline
from ltx2_service.rules.script_words import common_words, options_of, sizes_of
from ltx2_service.values.assignment import Renderer
from ltx2_service.values.job import Wanted
from ltx2_service.values.judged import Judged
from ltx2_service.values.refusals import UnknownModel
from ltx2_service.values.settings import Model, Settings

_MOST_USES = 500  # of what was found outside, which grows with each picture and long prompt

_PASSING = ("INVOCATION_ID", "JOURNAL_STREAM", "OLDPWD", "PWD", "SHLVL", "SSH_", "TERM", "_")
"""Variables that say how this service was started: with them, a process that renders would not be
the same to the next one, and load its weights anew."""

_QUIET = {"LTX2_HIDES_PROMPTS": "1"}  # ltx2_patcher/launched/sitecustomize.py

Stamp = tuple[tuple[str, int, int], ...]
"""Files, with when they were changed and how large they are."""


@dataclass(slots=True)
class _Known:
    """What is known of a model for as long as no file of it changes."""

    stamp: Stamp
    watched: tuple[Path, ...]
    script: Script
    looked: Looked
    renderer: Renderer
    uses: int = 0


class Judging:
    """The judge of a service; any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._toolkit = Toolkit(settings.tree)
        self._known: dict[str, _Known] = {}
        self._locks = {model.name: threading.Lock() for model in settings.models}

    def __call__(self, wanted: Wanted) -> Judged:
        """What the clip comes to. Raises: UnknownModel; what the gate raises."""
        model = self._settings.model(wanted.model)
        if model is None:
            known = tuple(model.name for model in self._settings.models)
            raise UnknownModel(str(wanted.model), known)
        with self._locks[model.name]:
            return self._judged(model, wanted, self._of(model))

    def _judged(self, model: Model, wanted: Wanted, known: _Known) -> Judged:
        target = known.script.target
        pipeline = target.pipeline
        sizes = sizes_of(wanted, pipeline)
        request = parse_over(
            pipeline,
            common_words(model, pipeline.options, self._settings.weights_folder),
            options_of(wanted, sizes, pipeline),
        )
        if model.vram_budget == "auto" and "--vram-budget" in pipeline.options:
            # As `run --batch` does: where weights can't wait on the host, the script loads them.
            parked = with_budget(request)
            if refusal_of_parking(pipeline, parked, target.abilities, target.others) is None:
                request = parked
        admitted = admit(request, target, known.looked)
        known.uses += 1
        return Judged(
            argv=render_argv(pipeline, admitted.request),
            seed=wanted.seed or 0,
            width=sizes.width,
            height=sizes.height,
            num_frames=sizes.num_frames,
            frame_rate=sizes.frame_rate,
            series=known.renderer.series,
            renderer=known.renderer,
            module=known.script.module,
            warnings=admitted.warnings,
        )

    def _of(self, model: Model) -> _Known:
        known = self._known.get(model.name)
        if known is None or known.uses > _MOST_USES or _stamp(known.watched) != known.stamp:
            known = self._known[model.name] = self._look(model)
        return known

    def _look(self, model: Model) -> _Known:
        base = self._toolkit.base(model.base)
        cards = self._settings.gpus if machine.has_nvidia() else None
        script = find_script(self._toolkit, base, model.pipeline, gpu=cards[0] if cards else None)
        if refusal := refusal_of_pipeline(script.target.pipeline):
            raise refusal
        script = replace(script, target=replace(script.target, gpus=_whole(script.target.gpus)))
        tree, lock = script.tree, self._toolkit.lock(base.name)
        watched = (*model.files.values(), *(tree / path for path in lock.paths))
        stamp = _stamp(watched)
        content = json.dumps([base.name, base.commit, blob_ids(tree, lock.paths)], sort_keys=True)
        series = hashlib.sha256(content.encode("utf-8")).hexdigest()
        quiet = {} if self._settings.logs_prompts else _QUIET
        child = script.child(proc.inherited_variables(without=_PASSING, **quiet))
        renderer = Renderer(base.name, series, child.argv, child.variables)
        state = self._settings.state.absolute()
        looked = Looked(script.target, lambda: memory_beside_workers(state))
        return _Known(stamp, watched, script, looked, renderer)


def _whole(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """As the service's own: what is taken of a card, its worker has taken and takes again."""
    return tuple(replace(gpu, free_bytes=gpu.total_bytes) for gpu in gpus)


def _stamp(paths: tuple[Path, ...]) -> Stamp:
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue  # the gate says what is missing
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)

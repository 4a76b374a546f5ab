"""Record the reference clips: run the scripts, keep what they compute, publish at the end."""

from __future__ import annotations

import datetime as dt
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import InvalidError, UsageError
from verify.clips import manifest
from verify.clips.cases import ReferenceCase, digest
from verify.clips.decoding import faults, read_clip, read_frames
from verify.clips.fingerprint import fingerprint
from verify.clips.images import write_image
from verify.clips.manifest import Manifest, Recorded, Recording, WeightFile
from verify.clips.models import Models, WeightsKind, examine
from verify.clips.tree import has_series, identify
from verify.synthetic.staging import require_vacant, staged
from verify.upstream.command_line import ClipShape, Gemma, Keyframe, command_line
from verify.upstream.process import Pipelines
from verify.upstream.provenance import versions

RECORDER = "verify.clips.recorder"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to record."""

    models: Models
    gemma: Gemma
    shape: ClipShape
    cases: tuple[ReferenceCase, ...]
    extra: tuple[str, ...] = ()  # for every script: "--quantization", "fp8-cast"


def record(
    recipe: Recipe, pipelines: Pipelines, out: Path, progress: Progress, *, timeout_s: float = 3600
) -> Recording:
    """A recording lies at `out`, whole: it was made beside it, and renamed last.

    `timeout_s` is for each clip. Cases whose weights were not named are left out, and said so.
    Raises: UsageError (`out` holds something, a tree without the flag, nothing to record, weights
    in each other's place), InvalidError (broken weights, a script that fails or writes no whole
    clip), ConflictError (weights that don't go together), OutsideError (disk, a script too late).
    """
    require_vacant(out)
    if (flags := recipe.gemma.flags) and not has_series(pipelines.tree):
        raise UsageError(
            f"{pipelines.tree} is not patched, so its scripts do not take {flags[0]}",
            remedy="name a patched tree (`make patch`), or record it with --gemma none",
        )
    kind = examine(recipe.models, pipelines.tree, (*recipe.gemma.flags, *recipe.extra))
    lacking = {case.name: recipe.models.lacking(case) for case in recipe.cases}
    able = [case for case in recipe.cases if lacking[case.name] is None]
    if not able:
        raise UsageError(
            f"no clip can be recorded without {next(iter(lacking.values()))}",
            remedy="name the weights, or a file set of verify.synthetic with --files",
        )
    upstream = identify(pipelines.tree)
    with staged(out) as staging:
        images = _paint(able, staging / "images")
        machines, recorded = set(), []
        for case in able:
            made, machine = _record_case(recipe, case, kind, pipelines, staging, timeout_s)
            progress(f"{case.name:<16} gemma {recipe.gemma.value:<5} {made.seconds:6.1f} s")
            recorded.append(made)
            machines.add(machine)
        (machine,) = machines
        made_of = Manifest(
            case_set=digest(able, recipe.shape),
            shape=recipe.shape,
            weights=kind,
            weight_files=_weight_files(recipe.models, able),
            upstream=upstream,
            gemma=recipe.gemma,
            extra=recipe.extra,
            machine=machine,
            versions={"python": platform.python_version()} | versions(),
            date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            images={path.stem: manifest.digest_of(path) for path in images},
            cases=tuple(recorded),
            left_out={name: flag for name, flag in lacking.items() if flag is not None},
        )
        (staging / manifest.NAME).write_text(manifest.render(made_of), encoding="utf-8")
    return Recording(out, made_of)


def _paint(cases: Sequence[ReferenceCase], folder: Path) -> list[Path]:
    folder.mkdir()
    names = sorted({conditioning.image for case in cases for conditioning in case.images})
    paths = [folder / f"{name}.png" for name in names]
    for path in paths:
        write_image(path.stem, path)
    return paths


def _record_case(
    recipe: Recipe,
    case: ReferenceCase,
    kind: WeightsKind,
    pipelines: Pipelines,
    staging: Path,
    timeout_s: float,
) -> tuple[Recorded, str]:
    """What was recorded, and the machine."""
    folder, shape = staging / case.name, recipe.shape
    folder.mkdir()
    clip = folder / manifest.CLIP
    argv = _arguments(recipe, case, pipelines.tree, staging / "images", clip)
    module = f"ltx_pipelines.{case.script}"
    done = pipelines.run(RECORDER, [str(folder), module, *argv], timeout_s=timeout_s)
    if done.code:
        raise InvalidError(
            f"{case.name}: {case.script} ended with {done.code}: {done.last_line}",
            remedy="see that the script runs with these weights and arguments by itself "
            "(ltx2-patcher run), then record again",
        )
    # Random weights of true size may show nothing.
    if wrong := faults(read_clip(clip), shape, may_be_blank=kind == "random"):
        raise InvalidError(
            f"{case.name}: {case.script} wrote a clip with {', '.join(wrong)}",
            remedy="patch a fresh checkout (`make patch`) and its environment (`make install`)",
        )
    frames = read_frames(clip)
    stills = (0, len(frames) // 2, len(frames) - 1)
    for name, index in zip(manifest.STILLS, stills, strict=True):
        Image.fromarray(frames[index]).save(folder / f"{name}.png")
    run = folder / "run.json"
    said_of_run = json.loads(run.read_text("utf-8"))
    run.unlink()
    files = {path.name: manifest.digest_of(path) for path in sorted(folder.iterdir())}
    made = Recorded(
        name=case.name,
        script=case.script,
        prompt=case.prompt,
        seed=case.seed,
        images={one.image: one.frame(shape) for one in case.images},
        seconds=said_of_run["seconds"],
        files=files,
    )
    return made, said_of_run["machine"]


def _arguments(
    recipe: Recipe, case: ReferenceCase, tree: Path, images: Path, out: Path
) -> list[str]:
    argv = command_line(
        tree,
        case.script,
        recipe.models.paths,
        recipe.shape,
        prompt=case.prompt,
        seed=case.seed,
        out=out,
        keyframes=[
            Keyframe(images / f"{one.image}.png", one.frame(recipe.shape), one.strength)
            for one in case.images
        ],
        flags=recipe.gemma.flags,
    )
    return [*argv, *recipe.extra]


def _weight_files(models: Models, cases: Sequence[ReferenceCase]) -> Mapping[str, WeightFile]:
    used = {flag: path for case in cases for flag, path in models.of(case).items()}
    fingerprints: dict[Path, str] = {}
    for path in used.values():
        if path not in fingerprints:
            with translated(path):
                fingerprints[path] = fingerprint(path)
    return {flag: WeightFile(path.name, fingerprints[path]) for flag, path in sorted(used.items())}

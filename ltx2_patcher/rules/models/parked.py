"""What can go with --vram-budget, which keeps weights in host memory, and with a batch."""

from __future__ import annotations

from collections.abc import Sequence

from ltx2_patcher.rules.models.abilities import nearest, whole_series
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, PatcherError, UsageError
from ltx2_patcher.values.request import Request

_RESIDENT = {"capture=true", "capture=1", "mode=reduce-overhead", "mode=max-autotune"}


def refusal_of_parking(
    pipeline: Pipeline, request: Request, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why this request can't keep its weights in host memory; None where it can, or does not."""
    if request.vram_budget is None:
        if request.weights_folder is None:
            return None
        return UsageError(
            "--weights-folder is where --vram-budget keeps weights",
            remedy="give --vram-budget auto too, or leave it out",
        )
    if not able.parks_weights:
        return _not_here(able, others)
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} runs on several GPUs, and --vram-budget is of one",
            remedy=f"run {pipeline.name.removesuffix('_mgpu')} on one GPU, or leave it out",
        )
    if request.offload is not None:
        return UsageError(
            "--vram-budget does what --offload does, and more", remedy="leave --offload out"
        )
    compilation = next((values for name, values in request.others if name == "--compile"), ())
    if odd := [str(value) for value in compilation if str(value).lower() in _RESIDENT]:
        return UsageError(
            f"--vram-budget moves weights, which --compile {odd[0]} can't follow",
            remedy="give --compile without it",
        )
    return None


def refusal_of_batch(
    pipeline: Pipeline, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why no process goes from one clip of the pipeline to the next; None where one does."""
    if not able.parks_weights:
        return _not_here(able, others, "--batch", "run a clip at a time")
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} runs on several GPUs, and --batch keeps one process",
            remedy=f"run {pipeline.name.removesuffix('_mgpu')} on one GPU, or a clip at a time",
        )
    if "--output-path" not in pipeline.options:
        return UsageError(
            f"{pipeline.name} makes no clip: it has no --output-path",
            remedy="run it without --batch",
        )
    return None


def _not_here(
    able: Abilities,
    others: Sequence[Abilities],
    option: str = "--vram-budget",
    instead: str = "leave it out",
) -> PatcherError:
    if any(other.base == able.base and other.parks_weights for other in others):
        return ConflictError(
            f"this tree holds the series of {able.base} without the group that {option} is of",
            remedy=whole_series(able),
        )
    better = nearest(able, others, "parks-weights")
    return UsageError(
        f"base {able.base} has no {option}",
        remedy=instead + ("" if better is None else f", or take base {better.base}"),
    )

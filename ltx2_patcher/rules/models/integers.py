"""What can go with --quantization int8, which multiplies 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence

from ltx2_patcher.rules.models.abilities import nearest, whole_series
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, PatcherError, UsageError
from ltx2_patcher.values.request import Request

INT8 = "int8"
_HOW = ("--int8-unrotated", "--int8-keep-ends")


def refusal_of_integers(
    pipeline: Pipeline, request: Request, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why this request can't multiply integers; None where it can, or does not."""
    if request.quantization != INT8:
        if stray := [option for option, _ in request.others if option in _HOW]:
            return UsageError(
                f"{stray[0]} says how --quantization int8 is done", remedy="give that too"
            )
        return None
    if not able.multiplies_integers:
        if any(other.base == able.base and other.multiplies_integers for other in others):
            return ConflictError(
                f"this tree holds the series of {able.base} without the group that "
                "--quantization int8 is of",
                remedy=whole_series(able),
            )
        better = nearest(able, others, "int8-products")
        return UsageError(
            f"base {able.base} has no --quantization int8",
            remedy="leave it out" + ("" if better is None else f", or take base {better.base}"),
        )
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} computes with fp8-cast, whatever --quantization says",
            remedy=f"run {pipeline.name.removesuffix('_mgpu')} on one GPU, or leave it out",
        )
    return None

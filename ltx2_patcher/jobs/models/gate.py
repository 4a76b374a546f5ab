"""The one gate for a clip's request: whatever can be told wrong before a model is loaded.

`run`, `verify` and whoever takes requests from elsewhere hand it a Request and the Target that it
shall run on. Files are judged by their headers alone.
"""

from __future__ import annotations

from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.media import check_pictures, check_sounds
from ltx2_patcher.jobs.models.model_files import (
    check_gemmas,
    check_length,
    check_loras,
    check_upsamplers,
    checked_checkpoint,
)
from ltx2_patcher.jobs.models.parking import check_parking
from ltx2_patcher.jobs.models.places import at_home, check_places
from ltx2_patcher.jobs.models.room import check_budget, check_card
from ltx2_patcher.jobs.models.target import Admitted, Target
from ltx2_patcher.rules.models.capability import refusal_of_cards
from ltx2_patcher.rules.models.frame_rate import caution_of_rate
from ltx2_patcher.rules.models.integers import refusal_of_integers
from ltx2_patcher.rules.models.lora import refusal_of_paths
from ltx2_patcher.rules.models.pairing import refusal_of_quantization
from ltx2_patcher.rules.models.parked import refusal_of_parking
from ltx2_patcher.rules.models.request_checks import (
    caution_of_length,
    cautions,
    check_numbers,
    may_be_cut,
)
from ltx2_patcher.values.errors import ConflictError, refuse
from ltx2_patcher.values.finding import Finding, told
from ltx2_patcher.values.request import Request


def admit(request: Request, target: Target, looked: Looked | None = None) -> Admitted:
    """Check the request in every point that can be told before a model is loaded.

    Raises: UsageError for what can't work; ConflictError for files that don't go together or an
    environment that lacks something; InvalidError for broken files; OutsideError where a budget
    can't be held on this machine.

    `looked` is what the requests before this one had read, for those that come together.
    """
    looked = looked or Looked(target)
    request = at_home(request)
    check_numbers(target.pipeline, request)
    gpus = [(gpu.name, gpu.capability) for gpu in target.gpus]
    refuse(refusal_of_quantization(request.quantization, target.abilities, target.others))
    refuse(refusal_of_integers(target.pipeline, request, target.abilities, target.others))
    refuse(refusal_of_cards(request.quantization, gpus))
    refuse(refusal_of_paths(request, target.abilities, target.others))
    refuse(refusal_of_parking(target.pipeline, request, target.abilities, target.others))
    check_places(request, target.pipeline, looked)
    checkpoint = None
    warnings = tuple(cautions(target.pipeline, request))
    warnings += told(
        caution_of_rate(target.pipeline, request.frame_rate, target.abilities, target.others)
    )
    quantized, host = False, None
    if request.transformer is not None:  # without one the script says itself what it takes
        checkpoint = checked_checkpoint(request, target, looked)
        warnings += check_loras(request, checkpoint, target, looked)
        check_upsamplers(request, checkpoint, looked)
        check_length(request, target, checkpoint, looked)
        quantized = check_gemmas(request, checkpoint, target, looked)
        host, parking = check_parking(request, checkpoint, target, looked)
        warnings += parking + check_card(request, target, checkpoint, looked)
    _check_environment(target, looked, needs_bitsandbytes=quantized)
    check_pictures(request, target, looked)
    warnings += check_sounds(request, target, looked)
    warnings += _check_prompt(request, looked)
    if target.budget is not None:
        check_budget(request, target, target.budget, checkpoint)
    return Admitted(request, checkpoint, warnings, host)


def _check_environment(target: Target, looked: Looked, *, needs_bitsandbytes: bool) -> None:
    pipeline, python = target.pipeline, target.python
    installed = looked.installed()  # starts a Python, so whatever else is told first
    for name in ("torch", "bitsandbytes") if needs_bitsandbytes else ("torch",):
        if name not in installed:
            raise ConflictError(
                f"{name} is not installed in the environment of {python}",
                remedy=f"run `ltx2-patcher install --python {python}`, or `make install`",
            )
    if pipeline.several_gpus and "ltx-kernels" not in installed:
        raise ConflictError(
            f"{pipeline.name} runs on several GPUs and needs ltx-kernels, which is not installed "
            f"in the environment of {python}",
            remedy="build upstream's packages/ltx-kernels into it, or run "
            f"{pipeline.name.removesuffix('_mgpu')} on one GPU",
        )


def _check_prompt(request: Request, looked: Looked) -> tuple[Finding, ...]:
    if request.text_encoder is None or not may_be_cut(request.prompt):
        return ()
    (tokens,) = looked.tokens(request.text_encoder[1], [str(request.prompt)])
    return told(caution_of_length(tokens))

"""The pictures, videos and sounds of a request, opened by its environment."""

from __future__ import annotations

from ltx2_patcher.jobs.models.looked import Looked, sounding, stills
from ltx2_patcher.jobs.models.target import Target
from ltx2_patcher.rules.models.frame_rate import caution_of_video_rate
from ltx2_patcher.rules.models.sound import SOUNDS, refusal_of_sound, refusal_of_video
from ltx2_patcher.values.errors import UsageError, refuse
from ltx2_patcher.values.finding import Finding, told
from ltx2_patcher.values.request import Request


def check_pictures(request: Request, target: Target, looked: Looked) -> None:
    """Each opens."""
    fault = next((fault for fault in looked.pictures(stills(request, target)) if fault), None)
    if fault is not None:
        raise UsageError(
            f"--image: {fault}", remedy="give a whole picture, for example a PNG or a JPEG"
        )


def check_sounds(request: Request, target: Target, looked: Looked) -> tuple[Finding, ...]:
    """What is told of the videos among them."""
    given = sounding(request)
    heard = looked.sounds([path.absolute() for _, path in given])
    warnings: tuple[Finding, ...] = ()
    for (option, path), sound in zip(given, heard, strict=True):
        if sound is None:  # the environment can't tell
            continue
        refuse(refusal_of_video(option, path, sound))
        if option in SOUNDS:
            refuse(refusal_of_sound(option, path, sound, request))
        asked = (option, path, sound.frame_rate, target.pipeline, target.abilities)
        warnings += told(caution_of_video_rate(*asked))
    return warnings

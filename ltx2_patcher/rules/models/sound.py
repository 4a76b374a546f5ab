"""Whether the sound or the pictures of a file go into a clip: the audio VAE takes two channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.values.errors import PatcherError, UsageError
from ltx2_patcher.values.request import Request

SOUNDS: Mapping[str, bool] = {
    "--audio-path": True,
    "--reference-video": True,
    "--video-path": False,
}
"""The options whose file's sound is encoded, and whether a file without sound ends the script (the
scripts a2vid_two_stage, dubit or lipdub, retake)."""
VIDEOS = frozenset(
    {"--video-path", "--reference-video", "--video-conditioning", "--conditioning-attention-mask"}
)
"""The options whose file's pictures are decoded, once Gemma is through."""
_WHOLE = "give a whole sound or video file"
_CHANNELS = 2  # in_channels of the published audio VAEs
_USUAL_RATE = 24.0  # of frames, where none is asked for (constants.py, on each base)
_TOLERANCE_S = 0.1  # of what containers say of their length
_START, _MOST = "--audio-start-time", "--audio-max-duration"


@dataclass(frozen=True, slots=True)
class Sound:
    """The first sound of a file, and the rate of the pictures beside it."""

    channels: int  # 0: it holds none
    seconds: float  # 0.0 where it does not say
    error: str | None  # why it can't be read
    frame_rate: float | None = None  # None: it holds no pictures; 0.0: it does not say


def refusal_of_sound(
    option: str, path: Path, sound: Sound, request: Request
) -> PatcherError | None:
    """Why a script ends at the sound of the file that is given with `option`; None where it does
    not.
    """
    if sound.error is not None:
        return UsageError(f"{option}: {path} can't be opened: {sound.error}", remedy=_WHOLE)
    if not sound.channels:
        if not SOUNDS[option]:
            return None
        return UsageError(f"{option}: {path} holds no sound", remedy="give a file that has some")
    if sound.channels != _CHANNELS:
        return UsageError(
            f"{option}: {path} has {sound.channels} channels, and the model takes {_CHANNELS}",
            remedy=f"make it stereo: ffmpeg -i {path.name} -ac {_CHANNELS} stereo.wav",
        )
    asked = _clip_s(request)
    if option == "--audio-path" and asked is not None and sound.seconds:
        begins = _given_s(request, _START, 0.0)
        lasts = min(sound.seconds - begins, _given_s(request, _MOST, math.inf))
        if lasts + _TOLERANCE_S < asked:
            return UsageError(
                f"{option}: {path} gives {max(lasts, 0.0):.1f} s from {begins:g} s on, and the "
                f"clip lasts {asked:.1f} s",
                remedy=f"give a longer one, fewer frames, an earlier {_START} or a greater {_MOST}",
            )
    return None


def refusal_of_video(option: str, path: Path, found: Sound) -> PatcherError | None:
    """Why a script ends at the pictures of the file that is given with `option`; None where it does
    not.
    """
    if option not in VIDEOS:
        return None
    if found.error is not None:
        return UsageError(f"{option}: {path} can't be opened: {found.error}", remedy=_WHOLE)
    if found.frame_rate is None:
        return UsageError(f"{option}: {path} holds no pictures", remedy="give a video")
    return None


def _given_s(request: Request, option: str, default: float) -> float:
    """The seconds behind an option; the default too where they are no number, which the script's
    own parser says.
    """
    for name, values in request.others:
        if name == option and values:
            try:
                return float(values[0])
            except ValueError:
                break
    return default


def _clip_s(request: Request) -> float | None:
    """What the clip lasts, in seconds, where the request tells its frames."""
    if request.frames is None:
        return None
    return request.frames / (request.frame_rate or _USUAL_RATE)

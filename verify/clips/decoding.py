"""What an mp4 holds: its streams, its frames and its sound, all of them decoded."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ltx2_patcher.values.errors import InvalidError
from verify.upstream.command_line import ClipShape


@dataclass(frozen=True, slots=True)
class Clip:
    """A decoded video file with one stream of pictures and one of sound."""

    video_codec: str
    audio_codec: str
    frames: int
    width: int
    height: int
    video_s: float  # as the container says
    audio_s: float  # samples by sampling rate
    picture_spread: float  # deviation of 8-bit luma over all frames
    audio_peak: float  # of full scale


def read_clip(path: Path) -> Clip:
    """All of `path` decoded. Raises: InvalidError (no such file, a stream missing or broken)."""
    try:
        with av.open(str(path)) as container:
            if not (container.streams.video and container.streams.audio):
                raise _unreadable(path, "a stream is missing")
            video, audio = container.streams.video[0], container.streams.audio[0]
            pictures, sounds = [], []
            for frame in container.decode(video, audio):
                if isinstance(frame, av.VideoFrame):
                    pictures.append(frame.to_ndarray(format="gray"))
                elif isinstance(frame, av.AudioFrame):
                    sounds.append(frame.to_ndarray())
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    if not (pictures and sounds) or video.duration is None or video.time_base is None:
        raise _unreadable(path, "a stream is empty")
    sound = np.concatenate(sounds, axis=-1)
    return Clip(
        video_codec=video.codec_context.name,
        audio_codec=audio.codec_context.name,
        frames=len(pictures),
        width=video.width,
        height=video.height,
        video_s=float(video.duration * video.time_base),
        audio_s=sound.shape[-1] / audio.rate,
        picture_spread=float(np.std(np.stack(pictures))),
        audio_peak=float(np.abs(sound).max()),
    )


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Every picture of `path`, (frames, height, width, 3), RGB.

    Raises: InvalidError (no such file, no picture, or it is cut off).
    """
    try:
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise _unreadable(path, str(error)) from error
    if not frames:
        raise _unreadable(path, "it holds no picture")
    return np.stack(frames)


def faults(clip: Clip, shape: ClipShape, *, may_be_blank: bool = False) -> list[str]:
    """What differs from the codecs, size and length of a clip of `shape`, and what shows that
    nothing was rendered; nothing where all is well.
    """
    seconds = shape.frames / shape.fps
    # The sound is a whole number of latents (40 ms) and of AAC frames (1024 samples, at 24 kHz or
    # more).
    sound_slack_s = 0.04 + 1024 / 24_000
    judged = {
        f"coded as {clip.video_codec} and {clip.audio_codec}": (
            (clip.video_codec, clip.audio_codec) == ("h264", "aac")
        ),
        f"{clip.frames} frames of {clip.width}x{clip.height}": (
            (clip.frames, clip.width, clip.height) == (shape.frames, shape.width, shape.height)
        ),
        f"{clip.video_s:.3f} s of pictures": abs(clip.video_s - seconds) < 1e-3,
        f"{clip.audio_s:.3f} s of sound": abs(clip.audio_s - seconds) < sound_slack_s,
        "one picture without contrast": may_be_blank or clip.picture_spread > 1,
        "silence": may_be_blank or clip.audio_peak > 1e-3,
    }
    return [fault for fault, well in judged.items() if not well]


def _unreadable(path: Path, why: str) -> InvalidError:
    return InvalidError(f"{path} is no clip: {why}", remedy="run its pipeline again")

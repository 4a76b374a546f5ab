"""A sound that the model can't take is refused before anything loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ltx2_patcher.rules.models.sound import (
    SOUNDS,
    VIDEOS,
    Sound,
    refusal_of_sound,
    refusal_of_video,
)
from ltx2_patcher.values.request import Request

STEREO = Sound(channels=2, seconds=5.0, error=None)


def told(option: str, sound: Sound, **asked: Any) -> str | None:
    error = refusal_of_sound(option, Path("a.wav"), sound, Request("a2vid_two_stage", **asked))
    assert error is None or error.remedy
    return None if error is None else str(error)


@pytest.mark.parametrize("option", SOUNDS)
def test_two_channels_are_right(option: str) -> None:
    assert told(option, STEREO) is None
    assert told(option, STEREO, frames=121, frame_rate=25.0) is None


@pytest.mark.parametrize(("channels", "said"), [(1, "has 1 channels"), (6, "has 6 channels")])
def test_another_number_is_refused(channels: int, said: str) -> None:
    assert said in str(told("--video-path", Sound(channels, 5.0, None)))


def test_no_sound_is_right_where_the_script_goes_without() -> None:
    silent = Sound(0, 0.0, None)
    assert told("--video-path", silent) is None
    assert "holds no sound" in str(told("--audio-path", silent))
    assert "holds no sound" in str(told("--reference-video", silent))


@pytest.mark.parametrize("option", sorted(VIDEOS))
def test_a_video_has_pictures(option: str) -> None:
    def said(found: Sound) -> str | None:
        error = refusal_of_video(option, Path("a.mp4"), found)
        assert error is None or error.remedy
        return None if error is None else str(error)

    assert said(Sound(0, 0.0, None, frame_rate=24.0)) is None
    assert said(Sound(0, 0.0, None, frame_rate=0.0)) is None
    assert said(Sound(2, 5.0, None)) == f"{option}: a.mp4 holds no pictures"
    assert said(Sound(0, 0.0, "Invalid data")) == f"{option}: a.mp4 can't be opened: Invalid data"
    assert refusal_of_video("--audio-path", Path("a.wav"), Sound(2, 5.0, None)) is None


def test_a_file_that_can_not_be_read_is_refused_with_its_reason() -> None:
    said = told("--video-path", Sound(0, 0.0, "Invalid data found"))
    assert said == "--video-path: a.wav can't be opened: Invalid data found"


@pytest.mark.parametrize(
    ("begins", "frames", "right"),
    [(0.0, 121, True), (0.0, 126, True), (0.0, 129, False), (1.0, 97, True), (1.0, 121, False)],
)
def test_a_sound_that_is_too_short_is_refused(begins: float, frames: int, right: bool) -> None:
    others = (("--audio-start-time", (begins,)),)
    said = told("--audio-path", STEREO, frames=frames, frame_rate=25.0, others=others)
    assert (said is None) is right, said
    capped = (*others, ("--audio-max-duration", ("2.5",)))
    assert "gives 2.5 s from" in str(
        told("--audio-path", STEREO, frames=frames, frame_rate=25.0, others=capped)
    )
    unsaid = Sound(2, 0.0, None)
    assert told("--audio-path", unsaid, frames=frames, frame_rate=25.0, others=others) is None


def test_without_a_rate_the_clip_has_upstreams_own() -> None:
    assert told("--audio-path", STEREO, frames=121) is None
    assert "gives 5.0 s from 0 s on, and the clip lasts 5.4 s" in str(
        told("--audio-path", STEREO, frames=129)
    )


@pytest.mark.parametrize("option", ["--audio-start-time", "--audio-max-duration"])
def test_seconds_that_are_no_number_are_left_to_the_scripts_parser(option: str) -> None:
    others = ((option, ("soon",)),)
    assert told("--audio-path", STEREO, frames=121, frame_rate=25.0, others=others) is None

"""A video file states the rate that was asked for, has its folder, and is whole or not there."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from ltx_pipelines.utils.media_io import encode_video
from ltx_pipelines.utils.video_files import exact_rate

from tests.upstream.conftest import BASE, DATE
from verify.upstream.process import Pipelines

try:
    from ltx_core.types import Audio
except ImportError:
    Audio = None
RATE = 16000
# That base has no such patch: it would not fit a revision that it supports.
RATES = [24.0] if BASE == "2026-05-28" else [24.0, 23.976, 29.97]
STORED = torch.uint8 if DATE < "2026-05-28" else torch.float32


@pytest.mark.parametrize(
    ("given", "stated"),
    [
        (24, 24),
        (24.0, 24),
        (25.0, 25),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
        (23.9, Fraction(239, 10)),
    ],
)
def test_a_rate_is_stated_exactly(given: float, stated: int | Fraction) -> None:
    assert exact_rate(given) == stated
    assert type(exact_rate(given)) is type(stated)  # a whole one as upstream hands it on


def encode(path: Path, fps: float, frames: Iterator[torch.Tensor] | torch.Tensor) -> None:
    seconds = 25 / fps
    sound = torch.zeros(2, int(seconds * RATE))
    audio: object = sound
    if Audio is not None:
        audio = Audio(waveform=sound, sampling_rate=RATE)
    keywords = {"audio_sample_rate": RATE} if Audio is None else {}
    encode_video(frames, fps, audio=audio, output_path=str(path), video_chunks_number=1, **keywords)


@pytest.mark.core
@pytest.mark.parametrize("fps", RATES)
def test_pictures_and_sound_last_alike(fps: float, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "clip.mp4"
    encode(path, fps, torch.zeros(25, 32, 32, 3, dtype=STORED))
    with av.open(str(path)) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert video.average_rate == exact_rate(fps)
        lasts = float(video.duration * video.time_base)
        assert lasts == pytest.approx(25 / fps, abs=1e-3)
        assert float(audio.duration * audio.time_base) == pytest.approx(lasts, abs=0.1)


def test_upstream_rounds_the_rate_down(
    upstream: Pipelines, patched: Pipelines, tmp_path: Path
) -> None:
    def stated(pipelines: Pipelines) -> str:
        told = ["rate", "23.976", str(tmp_path / "clip.mp4")]
        done = pipelines.run("tests.upstream.patches.constructed", told)
        assert done.code == 0, done.err
        rate: str = json.loads(done.out)
        return rate

    assert stated(upstream) == "23"
    assert stated(patched) == ("23" if BASE == "2026-05-28" else "24000/1001")


def test_where_encoding_fails_no_file_is_left(tmp_path: Path) -> None:
    def broken() -> Iterator[torch.Tensor]:
        yield torch.zeros(9, 32, 32, 3, dtype=STORED)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        encode(tmp_path / "clip.mp4", 24.0, broken())
    assert list(tmp_path.iterdir()) == []


def test_where_encoding_never_begins_an_older_file_is_left(tmp_path: Path) -> None:
    def broken() -> Iterator[torch.Tensor]:
        raise RuntimeError("out of memory")
        yield

    older = tmp_path / "clip.mp4"
    older.write_bytes(b"an older clip")
    with pytest.raises(RuntimeError, match="out of memory"):
        encode(older, 24.0, broken())
    assert older.read_bytes() == b"an older clip"

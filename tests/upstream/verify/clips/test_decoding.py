"""Files that are no clips; good ones are read in tests/pipelines."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from ltx2_patcher.values.errors import InvalidError
from verify.clips.cases import TINY
from verify.clips.decoding import Clip, faults, read_clip


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """In a sentence."""
    with pytest.raises(InvalidError, match=r"nothing\.mp4 is no clip"):
        read_clip(tmp_path / "nothing.mp4")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """By what it holds."""
    file = tmp_path / "text.mp4"
    file.write_text("not a video\n" * 100, encoding="utf-8")
    with pytest.raises(InvalidError, match="is no clip"):
        read_clip(file)


def test_a_clip_without_sound_is_refused(tmp_path: Path) -> None:
    """A pipeline that lost its audio must not pass for a whole one."""
    file = tmp_path / "silent.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with pytest.raises(InvalidError, match="a stream is missing"):
        read_clip(file)


WHOLE = Clip("h264", "aac", 9, 128, 64, 0.36, 0.341, 40.0, 0.2)


def test_a_whole_clip_has_no_fault() -> None:
    """As the scripts write them."""
    assert faults(WHOLE, TINY) == []


@pytest.mark.parametrize(
    "change",
    [
        {"video_codec": "mpeg4"},
        {"audio_codec": "mp3"},
        {"frames": 8},
        {"width": 64},
        {"height": 128},
        {"video_s": 0.4},
        {"audio_s": 0.2},
        {"picture_spread": 0.0},
        {"audio_peak": 0.0},
    ],
)
def test_each_fault_is_found(change: dict[str, object]) -> None:
    """And named once."""
    broken = replace(WHOLE, **change)  # type: ignore[arg-type]
    assert len(faults(broken, TINY)) == 1

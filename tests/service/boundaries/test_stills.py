from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ltx2_patcher.boundaries.interpreter import answer_of
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, OutsideError
from ltx2_service.boundaries.stills import make_spritesheet, make_thumbnail
from ltx2_service.boundaries.tagging import make_tagged

MAKE = """
import sys
import av
from PIL import Image
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libx264", rate=24)
    stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
    for at in range(int(sys.argv[2])):
        picture = Image.new("RGB", (128, 64), (250, 0, 0) if at == 0 else (0, 0, 250))
        container.mux(stream.encode(av.VideoFrame.from_image(picture)))
    container.mux(stream.encode())
"""


TELL = """
import hashlib, json, sys
import av
with av.open(sys.argv[1]) as clip:
    packets = [
        [p.stream.index, p.pts, p.dts, p.duration, str(p.time_base), hashlib.sha256(p).hexdigest()]
        for p in clip.demux()
        if p.dts is not None
    ]
    print(json.dumps({"packets": packets, "comment": clip.metadata.get("comment")}))
"""


@pytest.fixture(scope="module")
def python(store: Store, base: Base) -> Path:
    try:
        return environment_python(store, base)
    except ConflictError as error:
        pytest.skip(f"the base's environment: {error}")


@pytest.mark.parametrize(("frames", "size"), [(25, (512, 256)), (3, (384, 64))])
def test_pictures_of_a_clip(
    python: Path, tmp_path: Path, frames: int, size: tuple[int, int]
) -> None:
    clip = tmp_path / "clip.mp4"
    answer_of(python, MAKE, str(clip), str(frames))
    make_thumbnail(python, clip, tmp_path / "clip.webp")
    with Image.open(tmp_path / "clip.webp") as picture:
        assert picture.format == "WEBP" and picture.size == (128, 64)
        red, _, blue = picture.convert("RGB").getpixel((64, 32))  # type: ignore[misc]
        assert red > 200 and blue < 50
    make_spritesheet(python, clip, tmp_path / "clip.jpg")
    with Image.open(tmp_path / "clip.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.size == size
        red, _, blue = sheet.convert("RGB").getpixel((size[0] - 64, size[1] - 32))  # type: ignore[misc]
        assert blue > 200 and red < 50
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "clip.webp", "clip.jpg"}


def test_a_tagged_copy_says_what_it_was_made_from_and_shows_the_same(
    python: Path, tmp_path: Path
) -> None:
    clip, copy = tmp_path / "clip.mp4", tmp_path / "copy.mp4"
    answer_of(python, MAKE, str(clip), "25")
    before = clip.read_bytes()
    comment = json.dumps({"prompt": 'Füchse 🦊, "two"\n' * 9_000}, ensure_ascii=False)
    make_tagged(python, clip, copy, comment)
    assert clip.read_bytes() == before
    plain, tagged = (json.loads(answer_of(python, TELL, str(path))) for path in (clip, copy))
    assert len(plain["packets"]) == 25
    assert tagged["packets"] == plain["packets"]
    assert tagged["comment"] == comment and plain["comment"] is None


def test_of_a_broken_clip_none_is_made(python: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no clip")
    with pytest.raises(OutsideError, match="clip.webp can't be made"):
        make_thumbnail(python, clip, tmp_path / "clip.webp")
    with pytest.raises(OutsideError, match="copy.mp4 can't be made"):
        make_tagged(python, clip, tmp_path / "copy.mp4", "{}")
    assert list(tmp_path.iterdir()) == [clip]

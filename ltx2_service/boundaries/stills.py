"""Pictures of a finished clip, made by the PyAV and Pillow of the environment that made it."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.interpreter import answer_of
from ltx2_patcher.values.errors import OutsideError

_LONG_SIDE = 512  # pixels of a thumbnail
_COLUMNS, _ROWS, _TILE = 4, 4, 256  # of a sheet; pixels of a tile's long side

_SCRIPT = """
import sys
import av
from PIL import Image
clip, place, kind, longest, columns, rows = sys.argv[1:]
longest, columns, rows = int(longest), int(columns), int(rows)
with av.open(clip) as container:
    if kind == "JPEG":
        count = sum(1 for _ in container.decode(video=0))
        container.seek(0)
        wanted = {at * count // (columns * rows) for at in range(columns * rows)}
    else:
        wanted = {0}
    pictures = []
    for number, frame in enumerate(container.decode(video=0)):
        if number in wanted:
            picture = frame.to_image()
            picture.thumbnail((longest, longest))
            pictures.append(picture)
        if number >= max(wanted):
            break
width, height = pictures[0].size
columns = min(columns, len(pictures))
sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
for at, picture in enumerate(pictures):
    sheet.paste(picture, (at % columns * width, at // columns * height))
sheet.save(place, kind, quality=85)
print("made")
"""


def make_thumbnail(python: Path, clip: Path, place: Path) -> None:
    """A clip's first picture as WEBP. Raises: OutsideError where it can't be read or written."""
    _make(python, clip, place, "WEBP", str(_LONG_SIDE), "1", "1")


def make_spritesheet(python: Path, clip: Path, place: Path) -> None:
    """Sixteen pictures of a clip, or as many as it has, row by row as JPEG. Raises: as above."""
    _make(python, clip, place, "JPEG", str(_TILE), str(_COLUMNS), str(_ROWS))


def _make(python: Path, clip: Path, place: Path, kind: str, *numbers: str) -> None:
    part = place.with_name(f".{place.name}.part")
    try:
        answer = answer_of(python, _SCRIPT, str(clip), str(part), kind, *numbers)
        if answer.strip() != b"made":
            raise OutsideError(
                f"no picture can be made of {clip}",
                remedy="see that the clip plays and that there is space beside it",
            )
        with translated(place):
            part.replace(place)
    finally:
        part.unlink(missing_ok=True)

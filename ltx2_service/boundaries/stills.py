"""Pictures of a finished clip, made by the PyAV and Pillow of the environment that made it."""

from __future__ import annotations

from pathlib import Path

from ltx2_service.boundaries.beside import make_beside

_LONG_SIDE = 512  # pixels of a thumbnail
_COLUMNS, _ROWS, _TILE = 4, 4, 256  # of a sheet; pixels of a tile's long side

_PROGRAM = """
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
    make_beside(python, _PROGRAM, clip, place, "WEBP", str(_LONG_SIDE), "1", "1")


def make_spritesheet(python: Path, clip: Path, place: Path) -> None:
    """Sixteen pictures of a clip, or as many as it has, row by row as JPEG. Raises: as above."""
    make_beside(python, _PROGRAM, clip, place, "JPEG", str(_TILE), str(_COLUMNS), str(_ROWS))

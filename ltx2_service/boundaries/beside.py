"""Files that lie beside a clip, made of it by the libraries of the environment that made it."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.interpreter import answer_of
from ltx2_patcher.values.errors import OutsideError


def make_beside(
    python: Path, program: str, clip: Path, place: Path, *words: str, stdin: bytes = b""
) -> None:
    """`place` is there, whole: what a program wrote that was given the clip, where to write, and
    `words`, and then printed "made".

    Raises: OutsideError where the clip can't be read or the file not written.
    """
    part = place.with_name(f".{place.name}.part")
    try:
        answer = answer_of(python, program, str(clip), str(part), *words, stdin=stdin)
        if answer.strip() != b"made":
            raise OutsideError(
                f"{place.name} can't be made of {clip}",
                remedy="see that the clip plays and that there is space beside it",
            )
        with translated(place):
            part.replace(place)
    finally:
        part.unlink(missing_ok=True)

"""A file with clashes as people and git's tools settle it: each side between markers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ltx2_patcher.rules.series.merge import Clash, edited, merge
from ltx2_patcher.values.series import Edit

_MARKER = re.compile(rb"^(?:<{7}|\|{7}|>{7})(?: |$)", re.MULTILINE)


def marked(
    base: Sequence[bytes], ours: Sequence[Edit], theirs: Sequence[Edit], *, head: str, patch: str
) -> bytes:
    """The text with all that goes in, and where both sides clash, both between markers.

    The form is that of git's diff3 style in a cherry-pick: their lines (labelled `head`), those
    before either, ours (labelled `patch`).
    """
    merged = merge(base, ours, theirs)
    edits = list(merged.ours)
    for clash in merged.clashes:
        shift = sum(edit.growth for edit in theirs if edit.start < clash.start)
        block = _block(clash, head.encode(), patch.encode())
        edits.append(Edit(clash.start + shift, clash.theirs, block))
    return b"".join(edited(edited(base, theirs), sorted(edits, key=lambda edit: edit.start)))


def has_markers(content: bytes) -> bool:
    """Whether a conflict marker is left: "<<<<<<<", "|||||||" or ">>>>>>>" at a line's start."""
    return bool(_MARKER.search(content))


def _block(clash: Clash, head: bytes, patch: bytes) -> tuple[bytes, ...]:
    return (
        b"<<<<<<< %s\n" % head,
        *_ended(clash.theirs),
        b"||||||| before the patch\n",
        *_ended(clash.base),
        b"=======\n",
        *_ended(clash.ours),
        b">>>>>>> %s\n" % patch,
    )


def _ended(lines: Sequence[bytes]) -> list[bytes]:
    """The lines, the last one of a file too with a line end, so that a marker can follow."""
    return [line if line.endswith(b"\n") else line + b"\n" for line in lines]

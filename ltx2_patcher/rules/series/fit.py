"""Applies hunks to bytes: no fuzz, no offset, every line where the hunk says it is."""

from dataclasses import dataclass
from itertools import islice

from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import undone
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import FileDiff, Hunk, Patch


@dataclass(frozen=True, slots=True)
class _Miss:
    line: int
    wanted: bytes
    stands: bytes | None  # None: the file ends before


class Misfit(ConflictError):
    """A hunk of a patch does not stand where it must."""

    def __init__(
        self, patch: str, path: str, hunk: Hunk, line: int, wanted: bytes, stands: str
    ) -> None:
        shown = wanted.decode("utf-8", "replace").rstrip()
        super().__init__(
            f"{patch} does not fit: {path}, hunk {hunk.header.strip()}: "
            f'line {line} should be "{shown}" and is {stands}',
            remedy="the tree must be the pinned base without other changes there; "
            "see `ltx2-patcher status`, undo the change or commit it elsewhere",
        )
        self.patch, self.path, self.line = patch, path, line


def apply_diff(patch: Patch, diff: FileDiff, content: bytes) -> bytes:
    """`content` with every hunk of `diff` put in.

    Raises: Misfit where a context or removed line is not exactly there, or where the result is not
    the blob that the patch promises.
    """
    lines = split_lines(content)
    out: list[bytes] = []
    done = 0
    for hunk in diff.hunks:
        # A hunk that takes nothing away gives the line before it; git counts so, as diff does.
        first = hunk.start - 1 if hunk.old else hunk.start
        if miss := _first_miss(lines, first, hunk.old):
            stands = "past the end" if miss.stands is None else f'"{_shown(miss.stands)}"'
            raise Misfit(patch.name, diff.path, hunk, miss.line, miss.wanted, stands)
        out += lines[done:first]
        out += hunk.new
        done = first + len(hunk.old)
    result = b"".join([*out, *lines[done:]])
    if blob_id(result) != diff.after:
        raise ConflictError(
            f"{patch.name} leaves {diff.path} other than it promises ({diff.after[:12]})",
            remedy="the file differs from the pinned base outside the hunks; "
            "see `ltx2-patcher status`",
        )
    return result


def reverse(diff: FileDiff) -> FileDiff:
    """The diff that takes `diff` out again."""
    shift = 0
    hunks = []
    edits = iter(undone(diff.edits))
    for hunk in diff.hunks:
        start = hunk.start + shift
        shift += len(hunk.new) - len(hunk.old)
        if not hunk.old:
            start += 1
        if not hunk.new:
            start -= 1
        own = tuple(islice(edits, len(hunk.edits)))
        hunks.append(Hunk(start, hunk.new, hunk.old, hunk.header, own))
    return FileDiff(diff.path, diff.after, diff.before, tuple(hunks))


def _first_miss(lines: list[bytes], first: int, wanted: tuple[bytes, ...]) -> _Miss | None:
    for number, line in enumerate(wanted, start=first):
        stands = lines[number] if number < len(lines) else None
        if stands != line:
            return _Miss(number + 1, line, stands)
    return None


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip()

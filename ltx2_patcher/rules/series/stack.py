"""A series as a stack of edits: layers moved past each other, taken out, folded into one another.

Layers that touch no line in common can change places, and the text at the end stays the same. Two
that touch are entangled: which lines belong to whom is for a person to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ltx2_patcher.rules.series.diff_text import shown
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited, merge, undone
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import Edit

Edits = Mapping[str, tuple[Edit, ...]]


@dataclass(frozen=True, slots=True)
class Layer:
    """The edits of one patch, on the texts that the layers below leave."""

    name: str
    edits: Edits = field(repr=False)


class Entangled(ConflictError):
    """A layer builds on lines of one that it should change places with."""

    def __init__(self, upper: str, lower: str, places: Sequence[tuple[str, Edit]]) -> None:
        shown = [f"{path} line {edit.start + 1}{_words(edit)}" for path, edit in places]
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        super().__init__(
            f"{upper} builds on {lower}: {'; '.join(shown[:3])}{more}",
            remedy=f"put those lines into {lower} instead (`ltx2-patcher edit`), or first move or "
            "drop what builds on it",
        )
        self.upper, self.lower, self.places = upper, lower, tuple(places)


def moved(
    base: Mapping[str, bytes], stack: Sequence[Layer], old: int, new: int
) -> tuple[Layer, ...]:
    """The stack with the layer at index `old` at index `new`; the texts at the end are the same.

    `base` holds every file that a layer edits.

    Raises: Entangled where the layer can't change places with one on the way.
    """
    layers = list(stack)
    step = 1 if new > old else -1
    for at in range(old, new, step):
        low = min(at, at + step)
        layers[low : low + 2] = _swapped(base, layers, low)
    return tuple(layers)


def texts(base: Mapping[str, bytes], stack: Sequence[Layer]) -> list[dict[str, bytes]]:
    """For each layer the contents it leaves in the files that it edits."""
    now = {path: split_lines(content) for path, content in base.items()}
    left = []
    for layer in stack:
        for path, edits in layer.edits.items():
            now[path] = edited(now[path], edits)
        left.append({path: b"".join(now[path]) for path in layer.edits})
    return left


def _swapped(base: Mapping[str, bytes], layers: Sequence[Layer], low: int) -> tuple[Layer, Layer]:
    lower, upper = layers[low], layers[low + 1]
    both = [path for path in upper.edits if path in lower.edits]
    between = {path: base[path] for path in both}
    for made in texts(base, layers[: low + 1]):
        between |= {path: made[path] for path in both if path in made}
    on_top, below, tangles = dict(lower.edits), dict(upper.edits), []
    for path in both:
        back, forth = undone(lower.edits[path]), upper.edits[path]
        tangles += [(path, edit) for edit in forth if any(_touch(edit, other) for other in back)]
        merged = merge(split_lines(between[path]), back, forth)
        below[path], on_top[path] = merged.theirs, undone(merged.ours)
    if tangles:
        raise Entangled(upper.name, lower.name, tangles)
    return Layer(upper.name, below), Layer(lower.name, on_top)


def _touch(one: Edit, other: Edit) -> bool:
    """Whether no unchanged line lies between them: what merging takes for one place."""
    return one.start <= other.end and other.start <= one.end


def _words(edit: Edit) -> str:
    lines = edit.new or edit.old
    return f' ("{shown(lines[0]).strip()}")' if lines else ""

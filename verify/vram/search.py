"""The longest clip that fits: which length to try next, from what the tries so far took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEP = 8  # upstream takes 8k + 1 frames
SHORTEST = 9
MOST_FRAMES = 1217
"""Where a search ends: 49 s at 25 frames a second."""


@dataclass(frozen=True, slots=True)
class Try:
    """One length that was run; `left_bytes` of what torch may take, None where it ran out."""

    frames: int
    left_bytes: int | None

    @property
    def fits(self) -> bool:
        """Whether it kept to the budget."""
        return self.left_bytes is not None and self.left_bytes >= 0


@dataclass(frozen=True, slots=True)
class Longest:
    """The answer: `frames` is None where not even the shortest clip fits."""

    frames: int | None
    tries: tuple[Try, ...]


def longest(
    run: Callable[[int], Try], *, first: int, most: int, known: Sequence[Try] = ()
) -> Longest:
    """The most frames up to `most` that fit; below that, the next length was seen not to.

    `known` are lengths that were run before.

    Memory grows with the frames, and nearly in a line: each try goes where the line through the
    last two meets the budget, and between the longest that fits and the shortest that does not.
    """
    tries = list(known)
    while True:
        fits = max((one.frames for one in tries if one.fits), default=SHORTEST - STEP)
        too_long = min((one.frames for one in tries if not one.fits), default=most + STEP)
        if too_long - fits <= STEP:
            return Longest(fits if fits >= SHORTEST else None, tuple(tries))
        tries.append(run(next_length(tries, fits, too_long) if tries else first))


def next_length(tries: list[Try], fits: int, too_long: int) -> int:
    """A length between the two that is none of them, 8k + 1.

    Half-way where the last try ran out of memory: it tells nothing of the line.
    """
    guess = _snapped((fits + too_long) // 2)
    last = [(one.frames, one.left_bytes) for one in tries[-2:] if one.left_bytes is not None]
    if len(last) == 2:
        (a, left_a), (b, left_b) = last
        if (left_b - left_a) * (b - a) < 0:
            guess = _snapped(int(b - left_b * (b - a) / (left_b - left_a)))
    return min(max(guess, fits + STEP), too_long - STEP)


def _snapped(frames: int) -> int:
    """The next smaller length that upstream takes."""
    return max(1, (frames - 1) // STEP * STEP + 1)

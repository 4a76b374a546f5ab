"""The longest clip that fits: which length to try next, from what the tries so far took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.forecast import SHORTEST_FRAMES as SHORTEST
from ltx2_patcher.rules.models.request_checks import FRAME_STEP as STEP

MOST_FRAMES = 1217
"""Where a search ends: 49 s at 25 frames a second."""

_NEAR_BYTES = GIB // 2


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
    longest two that fit meets the budget.
    """
    tries = list(known)
    while True:
        fits = max((one.frames for one in tries if one.fits), default=SHORTEST - STEP)
        too_long = min((one.frames for one in tries if not one.fits), default=most + STEP)
        if too_long - fits <= STEP:
            return Longest(fits if fits >= SHORTEST else None, tuple(tries))
        tries.append(run(next_length(tries, fits, too_long) if tries else first))


def next_length(tries: Sequence[Try], fits: int, too_long: int) -> int:
    """A length between the two that is none of them, 8k + 1; at most twice the longest that fits,
    as what runs out of memory takes its time to.
    """
    halfway = (fits + too_long) // 2
    fitting = sorted((one.frames, one.left_bytes or 0) for one in tries if one.fits)
    if not fitting:
        guess = halfway
    else:
        met = _met(*fitting[-2:]) if len(fitting) > 1 else 2 * fits
        guess = min(met if fits < met < too_long else halfway, 2 * fits)
        if fitting[-1][1] < _NEAR_BYTES:
            # Close to its cap the allocator gives blocks back rather than grow, and the line tells
            # little: small steps, then larger ones.
            near = [frames for frames, left in fitting if left < _NEAR_BYTES]
            step = 2 * (near[-1] - near[-2]) if len(near) > 1 else fits // 16
            guess = min(guess, fits + step)
    return min(max(_snapped(guess), fits + STEP), too_long - STEP)


def _met(shorter: tuple[int, int], longer: tuple[int, int]) -> int:
    """Where the line through two lengths and what they leave has nothing left; 0 if it rises."""
    (a, left_a), (b, left_b) = shorter, longer
    return int(b + left_b * (b - a) / (left_a - left_b)) if left_b < left_a else 0


def _snapped(frames: int) -> int:
    """The next smaller length that upstream takes."""
    return max(1, (frames - 1) // STEP * STEP + 1)

"""Which blocks stay on the card while the others pass through it, and what a pass then takes."""

from collections import deque
from collections.abc import Collection, Sequence

_PASSES = 60
"""Reckoned twice, to get into step and to measure: a multiple of the passes after which up to 6 seats repeat."""


def kept_blocks(sizes: Sequence[int], room: int) -> frozenset[int]:
    """Return as many blocks as `room` bytes hold, spread evenly: copies then hide behind the arithmetic of kept ones.

    `sizes` are bytes, in the order of the blocks.
    """
    every = len(sizes)
    for count in range(every, 0, -1):
        kept = {index for index in range(every) if (index + 1) * count // every > index * count // every}
        if sum(sizes[index] for index in kept) <= room:
            return frozenset(kept)
    return frozenset()


def pass_seconds(
    sizes: Sequence[int], kept: Collection[int], arithmetic_s: Sequence[float], bytes_per_s: float, seats: int
) -> float:
    """Return the seconds of a pass among many, with `kept` on the card and the others taking turns in `seats` buffers.

    `sizes` are bytes and `arithmetic_s` seconds, both in the order of the blocks. A block computes once the one before
    it has and its copy is there; copies go one after the other, each once its buffer's last block has computed.
    """
    passing = [index not in kept for index in range(len(sizes))]
    if sum(passing) <= seats:  # each stays in the buffer that it was copied to
        return sum(arithmetic_s)
    left = deque([0.0] * seats, maxlen=seats)  # when those that passed last had computed
    computed = copied = 0.0
    ends = []
    for _ in range(2 * _PASSES):
        for nbytes, seconds, passes in zip(sizes, arithmetic_s, passing, strict=True):
            if passes:
                copied = max(copied, left[0]) + nbytes / bytes_per_s
                computed = max(computed, copied)
            computed += seconds
            if passes:
                left.append(computed)
        ends.append(computed)
    return (ends[-1] - ends[_PASSES - 1]) / _PASSES

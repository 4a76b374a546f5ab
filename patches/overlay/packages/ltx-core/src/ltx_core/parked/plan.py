"""Which blocks stay on the card while the others pass through it."""

from collections.abc import Sequence


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

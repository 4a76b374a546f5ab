"""The card that a run is held to: what of it torch may allocate, and what counts as too much."""

import re
from dataclasses import dataclass

from ltx2_patcher.values.errors import UsageError

GIB = 1 << 30
CONTEXT_BYTES = GIB // 2
"""What the CUDA context and its libraries take beside torch's allocator, on an RTX 3090."""
_UNUSABLE_BYTES = GIB * 4 // 10
"""Of its nominal size, what a card keeps for itself: an RTX 3090 of 24 GiB shows torch 23.7, and
the last tenth is left to what draws its screen."""
SPARE_BYTES = GIB * 3 // 10
"""What the allocator is kept below that, so that a run which just fits here fits there."""
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(?:gb|gib|g)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """A card by its nominal size in bytes; 24 GiB is an RTX 3090."""

    nominal_bytes: int

    @property
    def usable_bytes(self) -> int:
        """What a run may take of it, the CUDA context included."""
        return self.nominal_bytes - _UNUSABLE_BYTES

    @property
    def allocator_bytes(self) -> int:
        """The cap of torch's allocator that stands in for the card on a larger one."""
        return self.usable_bytes - CONTEXT_BYTES - SPARE_BYTES

    def is_smaller_than(self, total_bytes: int) -> bool:
        """Whether a GPU of so many bytes only stands in for it: cards of a size vary less."""
        return total_bytes > self.nominal_bytes + GIB

    @property
    def name(self) -> str:
        """As it is typed."""
        return f"{self.nominal_bytes / GIB:g}GB"


def whole_card(total_bytes: int) -> Card:
    """The largest card, by whole GiB, that a GPU of so many bytes can stand for."""
    return Card((total_bytes + _UNUSABLE_BYTES) // GIB * GIB)


def free_card(total_bytes: int, free_bytes: int) -> Card:
    """The card that is left of a GPU where other processes hold the rest."""
    return Card(min(total_bytes, free_bytes + _UNUSABLE_BYTES))


def parse_card(text: str) -> Card:
    """The card of a budget such as "24GB"; a GB of a card is a GiB. Raises: UsageError."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None or float(match[1]) < 2:
        raise UsageError(
            f"{text!r} is no budget",
            remedy="name the card's memory as it is sold, 24GB for an RTX 3090; 2GB is the least",
        )
    return Card(int(float(match[1]) * GIB))

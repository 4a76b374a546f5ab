"""The link between host memory and a card: PCI Express, by generation and lanes."""

from __future__ import annotations

from dataclasses import dataclass

_LANE_BYTES_A_S = {1: 250e6, 2: 500e6, 3: 985e6, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""Of one lane, each way, by the generation's clock and coding."""
_EFFECTIVE = 0.8  # of that, in copies from pinned memory: 25 GB/s of 4 x16, 6.5 of 4 x4
_MEASURED_BYTES_A_S = {(5, 16): 55e9}  # an H200's


@dataclass(frozen=True, slots=True)
class Link:
    """What the card and its slot both offer."""

    generation: int
    lanes: int

    @property
    def name(self) -> str:
        """As it is called."""
        return f"PCIe {self.generation} x{self.lanes}"

    @property
    def bytes_a_s(self) -> float:
        """What a copy from pinned memory comes to."""
        raw = _LANE_BYTES_A_S[self.generation] * self.lanes
        return _MEASURED_BYTES_A_S.get((self.generation, self.lanes), raw * _EFFECTIVE)


def parse_link(text: str) -> Link | None:
    """The link of "4, 16"; None where it is none that is known."""
    generation, _, lanes = (part.strip() for part in text.partition(","))
    if not (generation.isdigit() and lanes.isdigit()):
        return None
    found = Link(int(generation), int(lanes))
    return found if found.generation in _LANE_BYTES_A_S and found.lanes else None

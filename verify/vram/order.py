"""What the measured child is told to run."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """One run of a script; `module` is "ltx_pipelines.distilled"."""

    module: str
    argv: tuple[str, ...]
    events: str  # the file to write
    allocator_bytes: int | None  # what torch may take of the card
    ampere: bool  # every choice by compute capability is that of an RTX 3090
    parent: int  # the process that must be there while this one is
    until: str | None  # the last stage to run; None runs all


def order_text(order: Order) -> str:
    """The child's argument."""
    return json.dumps(asdict(order))


def parse_order(text: str) -> Order:
    """What `order_text` wrote."""
    fields = json.loads(text)
    return Order(**{**fields, "argv": tuple(fields["argv"])})

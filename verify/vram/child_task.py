"""What the measured child is told to run."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class ChildTask:
    """One run of a script; `module` is "ltx_pipelines.distilled"."""

    module: str
    argv: tuple[str, ...]
    events: str  # the file to write
    allocator_bytes: int | None  # what torch may take of the card
    ampere: bool  # every choice by compute capability is that of an RTX 3090
    parent: int  # the process that must be there while this one is
    until: str | None  # the last stage to run; None runs all


def task_text(task: ChildTask) -> str:
    """The child's argument."""
    return json.dumps(asdict(task))


def parse_task(text: str) -> ChildTask:
    """What `task_text` wrote."""
    fields = json.loads(text)
    return ChildTask(**{**fields, "argv": tuple(fields["argv"])})

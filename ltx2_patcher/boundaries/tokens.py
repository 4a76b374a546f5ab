"""How many tokens prompts have: asked of the environment's own tokenizers, by the root's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries.interpreter import answer_of

_FILE = "tokenizer.json"
_AT_ONCE = 10  # the words of a command line have two MiB together, of which one may take 128 KiB
_SCRIPT = """
import sys
try:
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(sys.argv[1])
    for prompt in sys.argv[2:]:
        print(len(tokenizer.encode(prompt).ids))
except Exception:  # what a tokenizer throws at its file; the script that reads it says so
    pass
"""


def tokens_of(python: Path, root: Path, prompts: Sequence[str]) -> tuple[int | None, ...]:
    """The tokens of each prompt by the tokenizer below a Gemma root, the first one (BOS) too.

    None where the root has no tokenizer.json, or the environment of `python` can't read it.
    Raises: OutsideError where it can't be started.
    """
    file = next(iter(sorted(root.rglob(_FILE))), None) if root.is_dir() else None
    if file is None:
        return (None,) * len(prompts)
    counted: list[int | None] = []
    for at in range(0, len(prompts), _AT_ONCE):
        some = prompts[at : at + _AT_ONCE]
        numbers = answer_of(python, _SCRIPT, str(file.absolute()), *some).split()
        counted += [*map(int, numbers), *[None] * (len(some) - len(numbers))]
    return tuple(counted)

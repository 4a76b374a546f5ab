"""How many tokens a prompt has: asked of the environment's own tokenizers, by the root's file."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.interpreter import answer_of

_FILE = "tokenizer.json"
_SCRIPT = """
import sys
try:
    from tokenizers import Tokenizer
    print(len(Tokenizer.from_file(sys.argv[1]).encode(sys.argv[2]).ids))
except Exception:  # what a tokenizer throws at its file; the script that reads it says so
    pass
"""


def tokens_of(python: Path, root: Path, prompt: str) -> int | None:
    """The tokens of `prompt` by the tokenizer below a Gemma root, the first one (BOS) too.

    None where the root has no tokenizer.json, or the environment of `python` can't read it.
    Raises: OutsideError where it can't be started.
    """
    file = next(iter(sorted(root.rglob(_FILE))), None) if root.is_dir() else None
    if file is None:
        return None
    counted = answer_of(python, _SCRIPT, str(file.absolute()), prompt).strip()
    return int(counted) if counted else None

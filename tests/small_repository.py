"""A copy of this repository with a patched checkout, whose package imports nothing slow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.values.base import Base
from tests.rebases import copy_bases

ROOT = Path(__file__).parents[1]
NEWEST = "1.2.0"

ECHO = '''"""Tell how it was started."""

import json
import os
import sys
import time

if __name__ == "__main__":
    asked = sys.argv[sys.argv.index("--tell") + 1]
    told = {name: os.environ.get(name) for name in asked.split(",")}
    print(json.dumps([told, sys.argv[1:]]), flush=True)
    time.sleep(60 if "--sleep" in sys.argv else 0)
    sys.exit(7)
'''


def make_repository(root: Path, published: Path, base: Base) -> Store:
    """The command line as a user has it after `make patch`, for the base and the newest, with one
    more script, `echo`.

    The package's own __init__ imports torch, so it is emptied: such an edit is the user's right.
    """
    shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher")
    # The checkout itself answers as upstream: no test of these waits for a network.
    copy_bases(root, sorted({base.name, NEWEST}), url=str(published))
    store = Store(root)
    tree = store.vendor / f"LTX-2-{base.name}"
    shutil.copytree(published, tree, symlinks=True)
    apply_tree(store, base, tree)
    package = tree / "packages/ltx-pipelines/src/ltx_pipelines"
    (package / "__init__.py").write_text("")
    (package / "echo.py").write_text(ECHO)
    return store


def patcher(root: Path, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's command line, in the environment `env` alone."""
    return subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", *map(str, arguments)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

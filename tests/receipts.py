"""What was proved where upstream's history is at hand, kept for machines where it is not.

A receipt names the base, what ran, when, and the digest of the base's series and the overlay. It is
stale as soon as one byte of them changes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import sys
from pathlib import Path

from ltx2_patcher.boundaries.store import Store

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests/receipts"


def digest(base: str) -> str:
    """Over the lock, which holds a digest of each patch and the content id of each overlay file."""
    store = Store(ROOT)
    store.lock(base)  # refuses a lock that is not of what lies here
    data = (store.patches / base / "lock.json").read_bytes()
    data += (store.patches / base / "symbols.toml").read_bytes()
    return hashlib.sha256(data).hexdigest()


def write_receipts(passed: int) -> None:
    """A whole run without failure or skip has proved every base."""
    for base in Store(ROOT).bases():
        receipt = {
            "base": base.name,
            "digest": digest(base.name),
            "proved": "make test-all, upstream's git history included, nothing skipped",
            "passed": passed,
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "system": sys.platform,
        }
        path = FOLDER / f"{base.name}.json"
        path.write_text(json.dumps(receipt, indent=1) + "\n", "utf-8")

"""`python -m tests.proofs`: what is stale, and what renews it; 1 where anything is."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.proofs.check import Repository
from tests.proofs.record import ROOT


def main(root: Path) -> int:
    """Proofs first, then measurements. Raises: InvalidError, as `Store.series`."""
    here = Repository.at(root)
    stale = [*here.stale_proofs(), *here.stale_measurements()]
    for one in stale:
        print(one.text)
    print(f"{len(stale)} stale" if stale else "every proof and measurement is of this code")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(ROOT))

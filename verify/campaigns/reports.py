"""What campaigns of one report share: what is typed, and the JSON that comes of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk


def report_parser(program: str, about: str | None, what: str) -> argparse.ArgumentParser:
    """What is typed: the base that is measured, and where its `what` ("table") goes, as JSON."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", help="which base the patched ltx_core is")
    parser.add_argument("out", type=Path, help=f"where the {what} goes, as JSON")
    return parser


def hand_over(report: Mapping[str, Any], out: Path) -> int:
    """The report lies at `out` and is printed: 0, or 1 where it has "failures".

    Raises: OutsideError (disk).
    """
    text = json.dumps(report, indent=1)
    disk.replace(out, f"{text}\n".encode())
    print(text)
    return 1 if report["failures"] else 0

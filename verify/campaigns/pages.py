"""Pages of docs/ that are made from baselines: tables, and being up to date."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page_parser(program: str, page: Path) -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}", description=f"Write docs/{page.name} from the baselines."
    )
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    return parser


def bring_up_to_date(page: Path, text: str, program: str, *, check: bool) -> int:
    """0 where the page says `text`, or does so now; with `check` it is not written, and 1 where it
    says something else.
    """
    if not check:
        page.write_text(text, encoding="utf-8")
    elif page.read_text("utf-8") != text:
        print(f"docs/{page.name} is out of date: run `python -m {program}`")
        return 1
    return 0

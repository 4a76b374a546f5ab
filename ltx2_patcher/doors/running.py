"""Verbs that prepare a machine and run the patched scripts: install, run, doctor, inspect."""

from __future__ import annotations

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""

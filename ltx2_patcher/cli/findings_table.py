"""Tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltx2_patcher.values.finding import Finding, Level

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILURE: "bold red"}


def show_findings(findings: Sequence[Finding]) -> None:
    """One row a finding, its remedy below the fact."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for column in ("level", "subject"):
        table.add_column(column, no_wrap=True)
    table.add_column("fact", overflow="fold")
    for finding in findings:
        # Text, not markup: a path may hold brackets.
        fact = Text(finding.fact)
        if finding.remedy:
            fact.append(f"\nto do: {finding.remedy}", style="italic")
        level = Text(finding.level.value, style=_STYLES[finding.level])
        table.add_row(level, Text(finding.subject), fact)
    Console(highlight=False).print(table)

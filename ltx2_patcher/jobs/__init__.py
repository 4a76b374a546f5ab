"""What the tool does. Jobs return values; they never print, ask or exit.

A job imports only jobs listed before it.
"""

ORDER = (
    "obtain",
    "upstream",
    "status",
    "tree",
    "apply",
    "installed",
    "export",
    "lint",
    "route",
    "breakage",
    "newbase",
    "workbench",
    "course",
    "handover",
    "rebase",
    "inspect",
    "install",
    "doctor",
    "run",
)

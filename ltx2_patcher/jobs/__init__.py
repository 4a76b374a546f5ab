"""What the tool does. Jobs return values; they never print, ask or exit.

A job imports only jobs listed before it.
"""

ORDER = (
    "obtain",
    "upstream",
    "matrix",
    "outdated",
    "locks",
    "status",
    "tree",
    "serve",
    "apply",
    "installed",
    "publication",
    "export",
    "edited",
    "revise",
    "log",
    "compare",
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
    "pipelines",
    "doctor",
    "run",
)

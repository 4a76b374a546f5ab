"""What the tool does. Jobs return values; they never print, ask or exit.

A job imports only jobs listed before it, and the wings `series` and `models` never each other.
"""

ORDER = (
    "series.obtain",
    "series.history",
    "series.matrix",
    "series.outdated",
    "series.locks",
    "series.status",
    "series.working_tree",
    "series.support",
    "series.apply",
    "series.site_packages",
    "series.publication",
    "series.export",
    "series.in_place",
    "series.edited_tree",
    "series.drafts",
    "series.sharing",
    "series.revise",
    "series.log",
    "series.diff",
    "series.lint",
    "series.rebase.revisions",
    "series.rebase.conflicts",
    "series.rebase.new_base",
    "series.rebase.workspace",
    "series.rebase.state",
    "series.rebase.resolve",
    "series.rebase.steps",
    "models.inspect",
    "launch.install",
    "launch.pipelines",
    "launch.doctor",
    "launch.run",
)

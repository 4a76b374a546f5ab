"""Reference clips: recorded with upstream's own scripts, compared, judged and shown.

A recording is a folder (see `manifest`). `cases` says what is in one, `record` makes it through
`recorder` in the scripts' process, `compare` measures one against another, `judge` holds the
measures against the bounds of bounds.toml, and `report` shows all of it as one page.
"""

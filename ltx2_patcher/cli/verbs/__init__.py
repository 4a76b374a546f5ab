"""What people type, a module a verb: `options` says what it takes, `run` does it.

main.py imports the one that is asked for, so that `--help` needs none of them. They import their
jobs inside their functions, so that their own help needs no job.
"""

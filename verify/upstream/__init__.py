"""Upstream's scripts, patched or not, run in a process of their own with command lines of ours."""

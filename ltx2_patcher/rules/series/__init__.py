"""Patches: their files, hunks, fits, drift and rebases."""

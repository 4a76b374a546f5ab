"""Frozen values and the errors; they import nothing of ours."""

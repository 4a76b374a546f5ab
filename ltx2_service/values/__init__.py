"""Frozen values: jobs, settings, what is told of cards."""

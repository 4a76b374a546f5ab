"""Proof that a patched upstream does what we say: file sets, pipeline runs, memory and clips."""

"""Carry a series to another upstream revision."""

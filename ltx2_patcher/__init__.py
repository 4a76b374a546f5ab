"""Applies, checks and carries the LTX-2 patch series.

Layers, imports pointing down only: cli -> jobs -> boundaries -> rules -> values.
"""

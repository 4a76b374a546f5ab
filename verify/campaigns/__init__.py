"""Measurements on a GPU that become verify/baselines/, and the tables made of them."""

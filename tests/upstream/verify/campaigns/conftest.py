"""Campaigns, on the bases that have what they measure."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("ltx_core.parked") else ["test_parked.py"]
collect_ignore_glob += [] if find_spec("ltx_core.int8") else ["test_int8*.py"]

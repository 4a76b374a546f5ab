"""CPUs as Linux lists them."""

from __future__ import annotations


def parse_cpus(listed: str) -> frozenset[int]:
    """The numbers of a list such as "0-3,8"; none where it is none."""
    cpus: set[int] = set()
    try:
        for part in filter(None, listed.strip().split(",")):
            first, _, last = part.partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
    except ValueError:
        return frozenset()
    return frozenset(cpus)

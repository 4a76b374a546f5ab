"""The rooms of verify import one way: each only from those before it."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT

VERIFY = ROOT / "verify"
ORDER = ({"command"}, {"upstream"}, {"synthetic"}, {"vram", "clips", "service"}, {"campaigns"})
"""What stands beside the rooms, such as `measure` and `__main__`, is above them all."""
ROOMS = sorted(path.name for path in VERIFY.iterdir() if (path / "__init__.py").exists())


def below(room: str) -> set[str]:
    """The rooms that one may import, itself included."""
    at = next(place for place, rooms in enumerate(ORDER) if room in rooms)
    return {room}.union(*ORDER[:at])


def imported(room: str) -> set[str]:
    """The rooms and modules of verify that its files name in an import, also inside functions."""
    nodes = [n for p in (VERIFY / room).rglob("*.py") for n in ast.walk(ast.parse(p.read_bytes()))]
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.module, f"{room} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("verify.")}


def test_each_room_has_its_place() -> None:
    assert {*ROOMS, "command"} == set().union(*ORDER)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_before_it(room: str) -> None:
    assert imported(room) <= below(room)
    assert imported(room), "nothing was read"

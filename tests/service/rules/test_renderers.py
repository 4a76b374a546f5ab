from __future__ import annotations

from dataclasses import replace

import pytest

from ltx2_service.rules.renderers import serves
from ltx2_service.values.assignment import Renderer

UP = Renderer("1.2.0", "series", ("python",), {"PATH": "/bin", "SHLVL": "1", "INVOCATION_ID": "a"})


@pytest.mark.parametrize(
    "asked",
    [
        replace(UP, base="1.0.0"),
        replace(UP, series="newer"),
        replace(UP, argv=("python3",)),
        replace(UP, variables={**UP.variables, "PATH": "/usr/bin"}),
        replace(UP, variables={**UP.variables, "TERMITE": "1"}),
        replace(UP, variables={"SHLVL": "1"}),
    ],
)
def test_another_base_code_or_setting_is_another_process(asked: Renderer) -> None:
    assert not serves(UP, asked)
    assert serves(asked, asked)


def test_a_new_session_is_not() -> None:
    again = {"PATH": "/bin", "INVOCATION_ID": "b", "SSH_TTY": "/dev/pts/1", "TERM": "xterm"}
    assert serves(UP, replace(UP, variables=again))

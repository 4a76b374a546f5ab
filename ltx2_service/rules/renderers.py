"""Whether the process that is up will do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ltx2_service.values.assignment import Renderer

_OF_A_SESSION = re.compile(
    r"_|PWD|OLDPWD|SHLVL|COLUMNS|LINES|WINDOWID|STY|TERM|TERM_PROGRAM.*|COLORTERM|TMUX.*|SSH_.*|DBUS_.*"
    r"|XDG_SESSION_.*|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MANAGERPID.*|NOTIFY_SOCKET"
    r"|WATCHDOG_.*|LISTEN_.*|MEMORY_PRESSURE_.*"
)
"""Variables that tell of the shell or the unit that something was started from: they differ with
each start of the service, and no script reads them.
"""


def serves(up: Renderer, asked: Renderer) -> bool:
    """Whether a clip comes out the same, so that weights stay parked when the service restarts."""
    return replace(up, variables=_lasting(up)) == replace(asked, variables=_lasting(asked))


def _lasting(of: Renderer) -> Mapping[str, str]:
    return {
        name: value for name, value in of.variables.items() if not _OF_A_SESSION.fullmatch(name)
    }

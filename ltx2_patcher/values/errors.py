"""Every failure a person can meet: what happened, and the one thing to do about it.

The exit codes of the command line, beside 0:

PatcherError
|-- UsageError        2  what was asked for does not exist or does not go together
|-- ConflictError     3  the tree is not in the state that the step needs; nothing was changed
|-- OutsideError      4  network, disk, permissions, a missing program
|-- InvalidError      5  a patch, series, lock, wheel or model file is not what it must be
`-- BusyError         6  another run holds the tree

NEWS                 10  `outdated` has revisions to report
INTERRUPTED         130  somebody pressed Ctrl-C: 128 and the number of the signal, as in a shell

`rebase` ends with ConflictError's while it waits for a person, `doctor` with OutsideError's where
something will not work. `run` becomes the script that it starts, whose code is its own; those that
our overlay gives scripts are from 20 up. With --batch it ends with 1 where a clip failed, and with
128 and its number where a signal stopped it. A bug in our own code stays an assertion with its
traceback, which is 1.
"""

NEWS = 10
INTERRUPTED = 130


class PatcherError(Exception):
    """A sentence of facts in `str(error)`, and one `remedy`; each class below has its exit code."""

    exit_code: int

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class UsageError(PatcherError):
    """The request names something that does not exist or does not go together."""

    exit_code = 2


class ConflictError(PatcherError):
    """The tree is not in the state that the step needs; nothing was changed."""

    exit_code = 3


class OutsideError(PatcherError):
    """Network, disk, permissions or a missing program stopped the step."""

    exit_code = 4


class InvalidError(PatcherError):
    """A patch, series, lock, wheel or model file is not what it must be."""

    exit_code = 5


class BusyError(PatcherError):
    """Another run of ltx2-patcher, or git itself, holds the tree."""

    exit_code = 6


def refuse(refusal: PatcherError | None) -> None:
    """Raise the refusal where there is one."""
    if refusal is not None:
        raise refusal

"""Every failure a person can meet: what happened, and the one thing to do about it.

PatcherError
|-- UsageError        2  what was asked for does not exist or does not go together
|-- ConflictError     3  the tree is not in the state that the step needs; nothing was changed
|-- OutsideError      4  network, disk, permissions, a missing program
|-- InvalidError      5  a patch, series, lock, wheel or model file is not what it must be
`-- BusyError         6  another run holds the tree

A bug in our own code stays an assertion with its traceback.
"""

NEWS = 10
"""Exit code of `outdated` where there is something to report: no class of error has it."""


class PatcherError(Exception):
    """A sentence of facts in `str(error)`, and one `remedy`."""

    exit_code = 1

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

"""What can go wrong while weight files are read or written, and the exit code of a script that it ends.

WeightFileError          30  weights cannot be read or written as asked
|-- UnreadableFile       31  a file is damaged, incomplete, or in a layout that is not read here
|-- IncompleteModel      32  the files given do not make the model that was asked for
`-- UnwritableOutput     33  the output cannot be written where it was asked for
"""


class WeightFileError(ValueError):
    """Weights cannot be read or written as asked. `str()` is one sentence: the fact, then the remedy."""

    exit_code = 30

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}; {remedy}")
        self.fact, self.remedy = fact, remedy


class UnreadableFile(WeightFileError):  # noqa: N818 - the name says what happened
    """A file is damaged, incomplete, or in a layout that is not read here."""

    exit_code = 31


class IncompleteModel(WeightFileError):  # noqa: N818 - the name says what happened
    """The files given do not make the model that was asked for."""

    exit_code = 32


class UnwritableOutput(WeightFileError):  # noqa: N818 - the name says what happened
    """The output cannot be written where it was asked for."""

    exit_code = 33

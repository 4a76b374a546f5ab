"""What can go wrong before a quantized Gemma is loaded or written, and the exit code of a script that it ends.

GemmaQuantizationError         20  a quantized Gemma cannot be had as asked
|-- GemmaFlagsError            21  the flags contradict each other or the root
|-- BitsAndBytesUnavailable    22  bitsandbytes is missing or does not work on the device
|-- GemmaRootError             23  the files under the Gemma root are not what a load needs
`-- GemmaOutputError           24  the quantized root cannot be written where it was asked for

Numbers below 20 are argparse's and ltx2-patcher's, whose `run` ends as the script does.
"""


class GemmaQuantizationError(ValueError):
    """A quantized Gemma cannot be had as asked. `str()` is one sentence: the fact, then the remedy."""

    exit_code = 20

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}; {remedy}")
        self.fact, self.remedy = fact, remedy


class GemmaFlagsError(GemmaQuantizationError):
    """The flags contradict each other or the root."""

    exit_code = 21


class BitsAndBytesUnavailable(GemmaQuantizationError):  # noqa: N818 - the name says what happened
    """bitsandbytes is missing, or computes nothing or nonsense on the device."""

    exit_code = 22


class GemmaRootError(GemmaQuantizationError):
    """The files under the Gemma root are not what a load needs."""

    exit_code = 23


class GemmaOutputError(GemmaQuantizationError):
    """The quantized root cannot be written where it was asked for."""

    exit_code = 24

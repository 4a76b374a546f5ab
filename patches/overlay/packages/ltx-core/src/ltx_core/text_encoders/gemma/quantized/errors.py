"""What can go wrong before a quantized Gemma is loaded or written.

GemmaQuantizationError
├── GemmaFlagsError            the flags contradict each other or the root
├── BitsAndBytesUnavailable    bitsandbytes is missing or does not work on the device
├── GemmaRootError             the files under the Gemma root are not what a load needs
└── GemmaOutputError           the quantized root cannot be written where it was asked for
"""


class GemmaQuantizationError(ValueError):
    """A quantized Gemma cannot be had as asked. `str()` is one sentence: the fact, then the remedy."""

    exit_code = 1  # of a script that it ends

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}; {remedy}")
        self.fact, self.remedy = fact, remedy


class GemmaFlagsError(GemmaQuantizationError):
    """The flags contradict each other or the root."""

    exit_code = 2


class BitsAndBytesUnavailable(GemmaQuantizationError):  # noqa: N818 - the name says what happened
    """bitsandbytes is missing, or computes nothing or nonsense on the device."""

    exit_code = 3


class GemmaRootError(GemmaQuantizationError):
    """The files under the Gemma root are not what a load needs."""

    exit_code = 4


class GemmaOutputError(GemmaQuantizationError):
    """The quantized root cannot be written where it was asked for."""

    exit_code = 5

"""What pip says, boiled down to a line."""

from __future__ import annotations

import pytest

from ltx2_patcher.rules.environment.pip_output import last_word, lost_connection

RETRY = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by "
    "'NewConnectionError(\"HTTPConnection(host='h', port=9): Failed to establish a new connection: "
    "[Errno 111] Connection refused\")': /simple/torch/\n"
)
NONE_FOUND = (
    "ERROR: Could not find a version that satisfies torch==1 (from versions: none)\n"
    "ERROR: No matching distribution found for torch==1\n"
)
NOTICE = "\n[notice] A new release of pip is available: 24.0 -> 26.0\n"
CRASH = (
    "ERROR: Exception:\nTraceback (most recent call last):\n"
    '  File "x.py", line 3, in read\n    yield\n'
    "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.\n"
)


@pytest.mark.parametrize(
    ("output", "word"),
    [
        (
            f"Collecting torch==1\n{NONE_FOUND}{NOTICE}",
            "No matching distribution found for torch==1",
        ),
        (f"{CRASH}{NOTICE}", CRASH.splitlines()[-1]),
        ("WARNING: odd\nsomething else broke\nhint: see above\n", "something else broke"),
        (NOTICE, NOTICE.strip()),
        ("", "it said nothing"),
        (f"ERROR: {'x' * 9999}", "x" * 197 + "..."),
    ],
)
def test_the_last_word_is_the_last_line_that_means_something(output: str, word: str) -> None:
    assert last_word(output) == word


def test_a_lost_connection_names_the_index_and_hides_credentials() -> None:
    index = "Looking in indexes: https://me:secret@example.invalid/simple\n"
    told = lost_connection(f"{index}{RETRY}{RETRY}{NONE_FOUND}")
    assert told == "https://example.invalid/simple can't be reached (Connection refused)"
    assert lost_connection(CRASH) == "the package index can't be reached (timed out)"
    assert lost_connection(NONE_FOUND) is None

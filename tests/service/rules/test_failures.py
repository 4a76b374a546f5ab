from __future__ import annotations

import pytest

from ltx2_service.rules.failures import failure_of, is_fatal


@pytest.mark.parametrize(
    ("word", "code", "fatal"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out_of_memory", False),
        ("AcceleratorError: CUDA error: out of memory", "out_of_memory", True),
        (
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`",
            "out_of_memory",
            True,
        ),
        ("MemoryError: ", "out_of_memory", False),
        ("OSError: [Errno 12] Cannot allocate memory", "out_of_memory", False),
        ("RuntimeError: CUDA error: an illegal memory access", "script_failed", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "script_failed", True),
        ("the LoRA fits no layer", "script_failed", False),
    ],
)
def test_the_last_word_tells_why(word: str, code: str, fatal: bool) -> None:
    failure = failure_of(1, word)
    assert (failure.code, failure.message, is_fatal(word)) == (code, word, fatal)


def test_without_a_word_there_is_the_exit_code() -> None:
    assert failure_of(23, "").message == "its script ended with 23"

"""Why an attempt failed."""

from __future__ import annotations

from ltx2_service.values.job import Failure

_MEMORY = ("out of memory", "memoryerror", "cublas_status_alloc_failed", "cannot allocate memory")


def failure_of(code: int, error: str) -> Failure:
    """Why a script failed, by its exit code and its last word."""
    word = error or f"its script ended with {code}"
    lowered = word.lower()
    if any(sign in lowered for sign in _MEMORY):
        return Failure("out_of_memory", word)
    return Failure("script_failed", word)


def is_fatal(error: str) -> bool:
    """Whether the process is of no use after an error: each later call of CUDA's would fail too."""
    return any(word in error for word in ("CUDA error", "CUDNN_STATUS", "CUBLAS_STATUS"))

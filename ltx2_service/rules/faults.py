"""How a refusal looks to whoever asked, before an API puts it in its own shape."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltx2_patcher.values.errors import PatcherError, UsageError
from ltx2_service.values.job import Failure
from ltx2_service.values.refusals import ServiceRefusal
from ltx2_service.values.request_faults import BadRequest, NoToken, SlowBody


@dataclass(frozen=True, slots=True)
class Fault:
    """What both APIs say of a refusal, each in its way."""

    status: int
    code: str
    message: str  # a sentence and its remedy
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None  # of a clip that was accepted, and then came to nothing


OURS = Fault(
    500,
    "server_error",
    "The service failed at this request, which is its own fault. Its log says where.",
    headers={"Connection": "close"},  # as the server will, once it has logged the trace
)


def fault_of(error: PatcherError) -> Fault:
    """What a refusal looks like; those of the gate have no status of their own.

    What the request itself causes is 400; what is wrong with the machine, its files or its trees is
    503, for the same request may do later.
    """
    message = f"{sentence(str(error))} {sentence(error.remedy)}"
    if isinstance(error, ServiceRefusal):
        headers = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, NoToken):
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, SlowBody):
            headers["Connection"] = "close"  # the rest of the body may still come
        param = error.param if isinstance(error, BadRequest) else None
        return Fault(error.status, error.code, message, param, headers)
    if isinstance(error, UsageError):
        return Fault(400, "invalid_request", message)
    return Fault(503, "not_ready", message)


_FAILED = {"cancelled": 409, "timeout": 504, "out_of_memory": 507}
"""The statuses of failed clips for an API that answers once a clip is done; others are 500."""


def fault_of_failure(job: str, failure: Failure) -> Fault:
    """What a clip that failed looks like to the request that waited for it."""
    return Fault(_FAILED.get(failure.code, 500), failure.code, sentence(failure.message), job=job)


def fault_of_fields(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> BadRequest:
    """The first thing that pydantic found wrong with a body or a parameter, in a sentence.

    `errors` as `ValidationError.errors()` gives them; `known` are the names that there are.
    """
    error = errors[0]
    place = [str(step) for step in error["loc"] if step not in {"body", "query", "path", "header"}]
    # A union's error names the member that came nearest; nobody sent that.
    names = [step for step in place if step.isidentifier() or step.isdecimal()]
    param = ".".join(names) or None
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], list(known), 1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        return BadRequest(f"There is no field {place[-1]!r}.", remedy=remedy, param=param)
    if error["type"] == "missing":
        return BadRequest(f"{param!r} is missing.", remedy="Send it.", param=param)
    said = str(error["msg"]).removeprefix("Value error, ")
    return BadRequest(
        sentence(
            f"{repr(param) if param else 'The body'} can't be so: {said[:1].lower()}{said[1:]}"
        ),
        remedy="/openapi.json says what it may be.",
        param=param,
    )


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    text = text.strip()
    ends = text.endswith((".", "?", "!"))
    return f"{text[:1].upper()}{text[1:]}{'' if ends else '.'}"

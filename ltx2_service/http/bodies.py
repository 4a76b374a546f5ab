"""Bodies, read once: JSON or a form, as the same nested fields.

They are understood in a thread: one may hold pictures as text, of megabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from ltx2_service.http.context import off_loop
from ltx2_service.rules.faults import fault_of_fields
from ltx2_service.rules.form_names import nested
from ltx2_service.rules.words import Sent
from ltx2_service.values.request_faults import BadRequest

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
FORM = "multipart/form-data"
_MOST_FIELDS = 256
_MOST_FILES = 64


async def json_of(request: Request, model: type[M]) -> M:
    """The JSON body of a request. Raises: BadRequest."""
    return await off_loop(await json_reader(request, model))


async def form_of(request: Request, model: type[M]) -> M:
    """The form that a request is. Raises: BadRequest."""
    return await off_loop(await form_reader(request, model))


async def json_reader(request: Request, model: type[M]) -> Callable[[], M]:
    """What understands the JSON body of a request once called in a thread. Raises: BadRequest."""
    body = await request.body()
    return lambda: _checked(model, _parsed(body))


async def form_reader(request: Request, model: type[M]) -> Callable[[], M]:
    """What understands the form that a request is once called in a thread. Raises: BadRequest."""
    limit = request.app.state.context.settings.limits.body_bytes  # a data: URL is a field
    async with request.form(
        max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=limit
    ) as form:
        fields = await _fields(form)
        return lambda: _checked(model, nested(fields))


def is_form(request: Request) -> bool:
    """Whether the body is a form with parts."""
    return _type(request) == FORM


def refuse_type(request: Request, *types: str) -> None:
    """The body must be of one of these types; none said is the first. Raises: BadRequest."""
    if _type(request) not in {"", *types}:
        raise BadRequest(
            f"The body's type is {_type(request)!r}.", remedy=f"Send {' or '.join(types)}."
        )


def _type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _fields(form: FormData) -> list[tuple[str, Any]]:
    return [
        (name, Sent(await value.read()) if isinstance(value, UploadFile) else value)
        for name, value in form.multi_items()
    ]


def _parsed(body: bytes) -> Any:
    """What JSON holds: strict in its numbers, and of characters that can be written again."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest("The body is no JSON.", remedy="Send a JSON object in UTF-8.") from error


def _checked(model: type[M], fields: Any) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise fault_of_fields(
            error.errors(include_url=False, include_context=False), model.model_fields
        ) from error

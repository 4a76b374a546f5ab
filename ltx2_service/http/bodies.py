"""Bodies, read once: JSON or a form, as the same nested fields."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

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
    return _checked(model, _parsed(await request.body()))


async def form_of(request: Request, model: type[M]) -> M:
    """The form that a request is. Raises: BadRequest."""
    limit = request.app.state.context.settings.limits.body_bytes  # a data: URL is a field
    async with request.form(
        max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=limit
    ) as form:
        return _checked(model, nested(await _fields(form)))


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
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number of JSON")

    try:
        text = body.decode()
        whole = json.loads(text, parse_constant=refuse)
        if "\\u" in text:
            # A lone half of a character pair passes as text and fails wherever it is written.
            json.dumps(whole, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is no JSON.", remedy="Send a JSON object in UTF-8.") from error
    return whole


def _checked(model: type[M], fields: Any) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise fault_of_fields(
            error.errors(include_url=False, include_context=False), model.model_fields
        ) from error

"""The OpenAPI document's words for bodies that routes read themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_REF = "#/components/schemas/{model}"


def body_of(**models: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a body: `json=Model`, `form=Model`."""
    types = {"json": "application/json", "form": "multipart/form-data"}
    content = {
        types[kind]: {"schema": {"$ref": _REF.format(model=model.__name__)}}
        for kind, model in models.items()
    }
    return {"requestBody": {"required": True, "content": content}}


def install(app: FastAPI, *models: type[BaseModel]) -> None:
    """Let the document hold the schemas that `body_of` refers to."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            whole = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _, schemas = models_json_schema(
                [(model, "validation") for model in models], ref_template=_REF
            )
            whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
            app.openapi_schema = whole
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way

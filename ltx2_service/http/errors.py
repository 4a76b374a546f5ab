"""Refusals as answers, each in the shape of the API that was asked."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from ltx2_patcher.values.errors import PatcherError
from ltx2_service.rules import openai_words, own_words
from ltx2_service.rules.faults import OURS, Fault, fault_of, fault_of_fields
from ltx2_service.values.request_faults import BadRequest, NoSuchRoute


def answer(path: str, fault: Fault) -> JSONResponse:
    """A fault, as the API of that path says it."""
    if path.startswith("/v1/"):
        body, headers = openai_words.envelope(fault), openai_words.headers_of(fault)
    else:
        body, headers = own_words.refused(fault), dict(fault.headers)
    return JSONResponse(body, fault.status, headers)


def _methods(app: FastAPI, request: Request) -> set[str]:
    """The methods of all routes of a path; the framework names those of the first."""
    fits = (route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in fits for method in getattr(route, "methods", None) or ()}


def install(app: FastAPI) -> None:
    """Let every failure of a route end in its API's shape."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, PatcherError)
        return answer(request.url.path, fault_of(error))

    async def unrouted(request: Request, error: Exception) -> Response:
        """404 and 405 of the framework, and what it can't read of a form."""
        assert isinstance(error, HTTPException)
        path = request.url.path
        if error.status_code in {404, 405}:
            fault = fault_of(NoSuchRoute(error.status_code, request.method, path))
        else:
            bad = BadRequest(f"{error.detail}", remedy="Send a body that is whole")
            fault = fault_of(bad)
        response = answer(path, fault)
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return response

    async def unfit(request: Request, error: Exception) -> Response:
        """A parameter of the path, the query or the headers."""
        assert isinstance(error, RequestValidationError)
        return answer(request.url.path, fault_of(fault_of_fields(error.errors(), ())))

    async def left(_request: Request, _error: Exception) -> Response:
        """A client that left in the middle of its body; nobody reads this."""
        return Response(status_code=499)

    async def broken(request: Request, _error: Exception) -> Response:
        """A bug of ours; the server logs its trace."""
        return answer(request.url.path, OURS)

    app.add_exception_handler(PatcherError, refused)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, broken)

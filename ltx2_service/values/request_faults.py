"""What is wrong with a request before any job is thought of."""

from __future__ import annotations

from ltx2_service.values.refusals import ServiceRefusal


class BadRequest(ServiceRefusal):
    """A body, field or parameter is not what it must be; `param` names it."""

    code = "invalid_value"
    status = 400

    def __init__(self, message: str, *, remedy: str, param: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.param = param


class BadPicture(BadRequest):
    """A picture that nobody should decode, or nobody can."""

    code = "invalid_image"


class NotOffered(BadRequest):
    """A route of the API that this service has no models for."""

    code = "unsupported"


class NoToken(ServiceRefusal):
    """The service wants a token, and the request brought none that it knows."""

    code = "invalid_api_key"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "The request has no token that is known here.",
            remedy="Send the header Authorization: Bearer TOKEN.",
        )


class ForeignPage(ServiceRefusal):
    """A page of another origin tries to use the service in its reader's name."""

    code = "foreign_origin"
    status = 403

    def __init__(self, header: str, value: str) -> None:
        super().__init__(
            f"The request's {header} is {value!r}, which is not this service.",
            remedy="Use the service's own page, or a client that is no browser.",
        )


class BodyTooLarge(ServiceRefusal):
    """A body of more bytes than the settings allow."""

    code = "body_too_large"
    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The request's body is larger than {limit_bytes} bytes.",
            remedy="Send smaller pictures.",
        )


class SlowBody(ServiceRefusal):
    """A body that takes longer to arrive than anybody should wait."""

    code = "body_too_slow"
    status = 408

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"The request's body did not arrive within {limit_s:g} s.",
            remedy="Send it again over a faster connection.",
        )


class NoSuchRoute(ServiceRefusal):
    """No route of this path, or not by this method."""

    def __init__(self, status: int, method: str, path: str) -> None:
        self.status = status
        self.code = "not_found" if status == 404 else "method_not_allowed"
        super().__init__(
            f"There is no {method} {path} here.", remedy="/openapi.json lists what there is."
        )

"""GitHub's refusals, in GitHub's own body shape."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

DOCUMENTATION = "https://docs.github.com/rest"


class RefusalError(Exception):
    """One refusal: status, message and, for 422, what is wrong with which field."""

    def __init__(self, status: int, message: str, errors: Sequence[JsonValue] = (), page: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.page = page

    def response(self) -> Response:
        """The answer that GitHub would give."""
        body: dict[str, JsonValue] = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        body |= {"documentation_url": f"{DOCUMENTATION}{self.page}", "status": str(self.status)}
        return JSONResponse(body, self.status)


async def answer_refusal(_request: Request, refusal: Exception) -> Response:
    """Starlette's exception handler for RefusalError."""
    if not isinstance(refusal, RefusalError):
        raise refusal
    return refusal.response()


def not_found(page: str = "") -> RefusalError:
    """404, also for what the token may not see."""
    return RefusalError(404, "Not Found", page=page)


def invalid(resource: str, field: str, code: str, message: str = "") -> RefusalError:
    """422 with one validation error."""
    error: dict[str, JsonValue] = {"resource": resource, "field": field, "code": code}
    if message:
        error["message"] = message
    return RefusalError(422, "Validation Failed", [error])

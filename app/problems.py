"""Problems: every error that leaves the server, as RFC 9457 `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from alignment.errors import AccordError, RequestError, WorkError

MEDIA_TYPE = "application/problem+json"
# The one table of which error is which status; the first that fits, from the top.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (RequestError, 422),
    (WorkError, 503),
    (AccordError, 500),
)


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field.

    Attributes:
        pointer: where it is, as a JSON pointer into the body (`/metrics/0/params/k`); for others `query/limit`.
        message: what was wrong, what was received, what would work.
    """

    pointer: str
    message: str


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """An answer that is an error.

    Attributes:
        status: the HTTP status.
        detail: what to do about it.
        errors: the fields at fault, if the input was.
        headers: further headers (`Retry-After`).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, tuple(errors)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Returns the problem document."""
        document: dict[str, Any] = {
            "type": "about:blank",  # RFC 9457: the title is the status's own
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"pointer": error.pointer, "message": error.message} for error in self.errors]
        return document


def not_found(kind: str, name: str) -> Problem:
    """Returns the answer to a name that is not there, or is another team's: nobody can tell which."""
    return Problem(404, f"there is no {kind} {name!r} that this team can see; list them with GET")


def invalid(pointer: str, message: str) -> Problem:
    """Returns the answer to one wrong field."""
    return Problem(422, message, errors=[FieldError(pointer, message)])


def problem_of(error: Exception, pointer: str = "") -> Problem:
    """Returns the problem that one of our own errors is to whoever asked."""
    for kind, status in STATUS:
        if isinstance(error, kind):
            fields = [FieldError(pointer, str(error))] if status == 422 else []
            return Problem(status, str(error), errors=fields)
    return Problem(500, "the server made a mistake; try again, and report it with the X-Request-ID of this answer")

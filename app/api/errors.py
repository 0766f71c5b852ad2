"""Errors: whatever goes wrong leaves as a problem document (RFC 9457), and nothing of the server leaves with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from alignment.errors import AccordError
from app.problems import MEDIA_TYPE, FieldError, Problem, problem_of
from app.storage.database import is_outage

_LOG = structlog.get_logger("accord.api")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What an error repeats of an input, so that a small request gets no large answer: characters of a value, of a sentence,
# and of a name in a pointer; and fields.
_MOST_SHOWN, _LONGEST_SENTENCE, _LONGEST_NAME = 100, 1000, 200
_MOST_FIELDS = 50


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(
        description="where: a JSON pointer into the body, or `query/NAME`, `path/NAME`, `header/NAME`",
        examples=["/metrics/0/params/k"],
    )
    message: str = Field(
        description="what was wrong, what was received, what would work",
        examples=["mutual_knn: k must be a whole number of at least 1, not 0"],
    )


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(
        description="what kind; `about:blank` says that the title is the status's", examples=["about:blank"]
    )
    title: str = Field(description="the status in words", examples=["Unprocessable Content"])
    status: int = Field(description="the HTTP status", examples=[422])
    detail: str = Field(
        description="what to do about it", examples=["there is no metric 'mutal_knn'; did you mean 'mutual_knn'?"]
    )
    errors: list[FieldProblem] | None = Field(None, description="the fields at fault, if the input was")


def document(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI is to say of an endpoint's errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "model": ProblemDocument, "content": content}
        for status in statuses
    }


RESPONSES = document(400, 401, 403, 404, 413, 415, 422, 429, 500, 503)


def install(app: FastAPI) -> None:
    """Makes an application answer every error so."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(AccordError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)


def respond(problem: Problem) -> JSONResponse:
    """Returns a problem as a response."""
    return JSONResponse(problem.body(), problem.status, problem.headers, MEDIA_TYPE)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - installed for it
    return respond(error)


async def _on_ours(request: Request, error: Exception) -> JSONResponse:
    return respond(problem_of(error))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - installed for it
    if isinstance(error.__cause__, Problem):  # raised while FastAPI read the body, which calls that unreadable
        return respond(error.__cause__)
    headers, path = dict(error.headers or {}), request.url.path
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    details = {
        404: f"there is nothing at {path}; /docs lists what there is",
        405: f"{request.method} is not for {path}; it takes {headers.get('Allow')}",
        400: "the request's body cannot be read; send JSON, or a form with its boundary",
    }
    detail = details.get(error.status_code, str(error.detail))
    return respond(Problem(error.status_code, detail, headers=headers))


def _methods(request: Request) -> list[str]:
    """Returns the methods that a path takes; Starlette names those of the first route alone."""
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - installed for it
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        why = next(one for one in found if one["type"] == "json_invalid")
        return respond(Problem(400, f"the body is no JSON: {why.get('ctx', {}).get('error', why['msg'])}"))
    if isinstance(error.body, bytes) and error.body:  # FastAPI reads none but what says that it is JSON
        return respond(Problem(415, "the body is not said to be JSON; send it as application/json"))
    errors = [FieldError(pointer(one["loc"], error.body), _sentence(one)) for one in found[:_MOST_FIELDS]]
    first, some = errors[0], "" if len(found) == len(errors) else f", which has the first {len(errors)}"
    detail = (
        f"{first.pointer}: {first.message}" if len(found) == 1 else f"{len(found)} fields are wrong; see errors{some}"
    )
    return respond(Problem(422, detail, errors=errors))


async def _on_defect(request: Request, error: Exception) -> JSONResponse:
    if is_outage(error):
        _LOG.warning("the database is away", error=type(error).__name__)
        return respond(
            Problem(503, "the database does not answer; try again in some seconds", headers={"Retry-After": "5"})
        )
    _LOG.error("request failed", exc_info=error)
    return respond(problem_of(error))


def pointer(place: Sequence[int | str], body: Any = None) -> str:
    """Returns where an error is.

    >>> pointer(("body", "metrics", 0, "a/b"))
    '/metrics/0/a~1b'
    >>> pointer(("query", "limit"))
    'query/limit'
    >>> pointer(("body", "source", "builtin", "id"), {"source": {"type": "builtin"}})
    '/source/id'
    """
    where, *rest = place or ("body",)
    if where == "body":
        rest = _without_tags(rest, body)
    parts = [str(part)[:_LONGEST_NAME].replace("~", "~0").replace("/", "~1") for part in rest]
    return "/".join(["", *parts] if where == "body" else [str(where), *parts])


def _without_tags(place: Sequence[int | str], body: Any) -> list[int | str]:
    """Returns a place in a body without the kinds of objects, which pydantic names as if they were fields."""
    found: list[int | str] = []
    tagged = True  # whether the tag of this object, should it have one, was passed
    for part in place:
        if not tagged and isinstance(body, dict) and part == body.get("type"):
            tagged = True
            continue
        found.append(part)
        body = body[part] if isinstance(body, dict) and part in body else _item(body, part)
        tagged = False
    return found


def _item(body: Any, part: int | str) -> Any:
    return body[part] if isinstance(body, list) and isinstance(part, int) and part < len(body) else None


def _sentence(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")[:_LONGEST_SENTENCE]
    if error["type"] in ("missing", "unknown_field", "value_error") or "input" not in error:
        return "it is missing; give it" if error["type"] == "missing" else message
    given = repr(error["input"])
    given = given if len(given) <= _MOST_SHOWN else given[:_MOST_SHOWN] + "…"
    return f"{message[:1].lower()}{message[1:]}, not {given}"

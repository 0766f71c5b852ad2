"""Form: a multipart body, taken apart as it comes in; no more of it is held than one chunk of the network's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(frozen=True)
class Part:
    """The beginning of a part of a form.

    Attributes:
        name: the field's.
        filename: the file's, as it was sent; None if it is no file.
    """

    name: str
    filename: str | None


async def parts(request: Request) -> AsyncIterator[Part | bytes]:
    """Yields each part's beginning, and after it its content in pieces.

    Raises:
        Problem: 415 if the body is no form; 400 if it is cut off or otherwise broken.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise Problem(415, "send the file as multipart/form-data, in the field `file`")
    broken = Problem(400, "the form cannot be read: send multipart/form-data whole, with its boundary")
    form = _Form()
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            for event in form.take():
                yield event
    except (FormParserError, KeyError) as error:
        raise broken from error
    except ClientDisconnect as error:
        raise Problem(400, "the connection was lost before the whole form had come; send it again") from error
    if not form.ended:
        raise broken


class _Form:
    """What the parser has found since it was last asked."""

    def __init__(self) -> None:
        self.ended = False
        self._events: list[Part | bytes] = []
        self._field, self._value, self._disposition = b"", b"", b""

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def take(self) -> list[Part | bytes]:
        events, self._events = self._events, []
        return events

    def _begin(self) -> None:
        self._field, self._value, self._disposition = b"", b"", b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise FormParserError("a part has no name")
        filename = options.get(b"filename")
        self._events.append(Part(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")

"""Logs: one JSON object, or one line for people, an event; whatever was bound (request, job, worker) is in it."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# What must never be kept: a key of ours, a bearer token, a password in a URL or beside its name, a token of the hub.
_SECRETS = (
    (re.compile(r"accord_[a-z0-9]{26}_[A-Za-z0-9_-]{20,}"), "accord_***"),
    (re.compile(r"(?i)(bearer\s+)[^\s'\"]+"), r"\1***"),
    (re.compile(r"(\w+://[^\s:/@]*):[^\s/]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(\w*(?:password|secret|token)=)[^\s&'\"]+"), r"\1***"),
    (re.compile(r"whsec_[A-Za-z0-9_-]+"), "whsec_***"),
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "hf_***"),
)
_LOUD = ("dbos", "alembic", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "huggingface_hub", "sse_starlette")


def configure(form: Literal["json", "console"], level: str) -> None:
    """Sends every log of this process, libraries' too, to stderr in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they bring handlers of their own
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # a request is logged once, by us, with its id
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Takes the secrets out of an event."""
    # What begins with _ is structlog's own, and taken out before anything is written.
    return {name: value if name.startswith("_") else without_secrets(value) for name, value in event.items()}


def without_secrets(value: Any) -> Any:
    """Returns a value with every text in it rid of what looks like a secret.

    >>> without_secrets({"url": "postgresql://accord:hunter2@db/accord"})
    {'url': 'postgresql://accord:***@db/accord'}
    """
    if isinstance(value, str):
        for pattern, instead in _SECRETS:
            value = pattern.sub(instead, value)
    elif isinstance(value, dict):
        return {without_secrets(key): without_secrets(item) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    elif value is not None and not isinstance(value, int | float):
        return without_secrets(repr(value))  # as it would be written: an error's text, bytes
    return value

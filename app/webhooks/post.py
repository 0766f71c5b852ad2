"""Post: one delivery sent once, and what came of it."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpcore
import httpx

from app.webhooks.address import ForbiddenAddressError, Resolve, resolve
from app.webhooks.dial import CheckedBackend
from app.webhooks.signature import HEADER, sign

SECONDS = 20.0  # for everything together: connecting, TLS, sending, the answer's head
_STEP = {name: 10.0 for name in ("connect", "read", "write", "pool")}


@dataclass(frozen=True)
class Letter:
    """What is sent.

    Attributes:
        id: the delivery's, the same each time that it is tried.
        url: where to.
        event: what happened.
        body: JSON.
        secret: what it is signed with.
        moment: when, in whole seconds since 1970.
    """

    id: str
    url: str
    event: str
    body: str
    secret: str
    moment: int


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        error: why it was not taken; None if it was.
        final: whether to try again would be wrong.
    """

    error: str | None = None
    final: bool = False


Send = Callable[[Letter], Outcome]


def sender(*, private: bool, resolve: Resolve = resolve, seconds: float = SECONDS) -> Send:
    """Returns what sends letters.

    Args:
        private: whether they may go to private, loopback and link-local addresses.
        resolve: says what a host's addresses are.
        seconds: how long one may take.
    """
    trusted = functools.cache(httpx.create_ssl_context)  # read once, and not before it is needed

    def send(letter: Letter) -> Outcome:
        backend = CheckedBackend(resolve, private=private, seconds=seconds)
        try:
            status = _status(letter, backend, trusted())
        except ForbiddenAddressError as error:
            return Outcome(str(error))
        except (httpcore.TimeoutException, TimeoutError):
            return Outcome("it did not answer in time")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            return Outcome(_why(error))
        return _judge(status)

    return send


def _status(letter: Letter, backend: CheckedBackend, trusted: ssl.SSLContext) -> int:
    """Returns the answer's status. Its body is left unread: nothing of it is wanted, and it may have no end."""
    url = httpx.URL(letter.url)
    body = letter.body.encode()
    headers = [
        (b"Host", url.netloc),
        (b"User-Agent", b"Accord"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"Connection", b"close"),
        (b"Accord-Event", letter.event.encode()),
        (b"Accord-Delivery", letter.id.encode()),
        (HEADER.encode(), sign(letter.secret, letter.moment, letter.body).encode()),
    ]
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    # httpcore itself, which httpx is made of: it follows no redirect, knows no proxy, and takes a dialler of ours.
    with (
        httpcore.ConnectionPool(ssl_context=trusted, network_backend=backend) as pool,
        pool.stream("POST", target, headers=headers, content=body, extensions={"timeout": _STEP}) as response,
    ):
        return response.status


def _judge(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"it answered {status}, and redirects are not followed; give the address that it points to")
    if status == 410:
        return Outcome("it answered 410: nobody is there any more", final=True)
    return Outcome(f"it answered {status}")


def _why(error: Exception) -> str:
    if isinstance(error.__cause__ or error.__context__ or error, ssl.SSLError) or "SSL" in str(error):
        return "its TLS certificate cannot be trusted, or it speaks no TLS"
    if isinstance(error, httpcore.ConnectError):
        return "it cannot be connected to"
    return f"the connection broke ({type(error).__name__})"

"""Dial: connections to addresses that were checked, and to no other; each is over by a deadline, whatever comes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from app.webhooks.address import Resolve, permitted


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves a host once, checks every address, and connects to one of those: nobody resolves it again.

    The URL's host stays what it was for the `Host` header and for TLS, which checks the certificate against it.
    """

    def __init__(self, resolve: Resolve, *, private: bool, seconds: float) -> None:
        """Begins the time that everything together may take."""
        self._resolve, self._private = resolve, private
        self._deadline = time.monotonic() + seconds
        self._dialler = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Returns a connection to a checked address of a host.

        Raises:
            ForbiddenAddressError: if one of its addresses is one that a webhook may not go to.
            httpcore.ConnectError: if it has none, or none answers.
        """
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name is not known") from error
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in permitted(host, addresses, private=self._private):
            try:
                stream = self._dialler.connect_tcp(address, port, left(self._deadline, timeout), None, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self._deadline)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connects to nothing.

        Raises:
            httpcore.ConnectError: always.
        """
        raise httpcore.ConnectError("a webhook goes over the network")


class _Timed(httpcore.NetworkStream):
    """A connection each step of which ends by one deadline: a byte now and then does not keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(
            self._stream.start_tls(ssl_context, server_hostname, left(self._deadline, timeout)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def left(deadline: float, timeout: float | None) -> float:
    """Returns the seconds that a step may take.

    Raises:
        httpcore.TimeoutException: if none are left.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return seconds if timeout is None else min(seconds, timeout)

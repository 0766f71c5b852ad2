"""Address: where a webhook may go. A URL is checked as it is given; what its name resolves to, each time it is dialled.

A name's answer may differ between two times of asking, and an attacker's will: what counts is the check of the address
that is then connected to (`dial`). The one here, when a URL is given, is so that a mistake is told at once.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address

import httpx

from app.problems import invalid
from app.settings import Settings

Resolve = Callable[[str, int], Sequence[str]]
MOST_CHARACTERS = 2000
_RESOLVE_SECONDS = 2.0  # for the check of a URL that is given; a name that takes longer is checked when it is dialled
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
_NEVER = {  # clouds tell their machines' own secrets there; nobody's webhook is
    ipaddress.ip_address(address) for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")
}


class ForbiddenAddressError(Exception):
    """Where a webhook may not go. The sentence names no address: what a private name resolves to is the network's."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Returns every address of a host.

    Raises:
        OSError: if it has none, or nobody says.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def permitted(host: str, addresses: Sequence[str], *, private: bool) -> Sequence[str]:
    """Returns the addresses of a host, every one of which a webhook may go to.

    Args:
        host: the host, for the error.
        addresses: all that it resolves to.
        private: whether private, loopback and link-local ones may be.

    Raises:
        ForbiddenAddressError: if a webhook may not go to one of them.
    """
    for text in addresses:
        address = ipaddress.ip_address(text)
        if not (is_reachable(address) if private else is_public(address)):
            kind = "no address that can be called" if private else "a private, loopback, link-local or reserved address"
            raise ForbiddenAddressError(
                f"{host} resolves to {kind}; give a URL that the whole internet reaches"
                + ("" if private else ", or ask the operator to set ACCORD_ALLOW_PRIVATE_WEBHOOKS")
            )
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one that everybody on the internet knows by that number.

    >>> is_public(ipaddress.ip_address("1.1.1.1")), is_public(ipaddress.ip_address("::ffff:10.0.0.1"))
    (True, False)
    """
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST or address in _DOCUMENTATION:
            return False
    return (
        address.is_global and not address.is_multicast and not address.is_reserved and address not in _NEVER
    )  # 100.64.0.0/10, shared by carriers, is not global either


def is_reachable(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one machine's, public or not, and no cloud's source of secrets."""
    inner = _inner(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return is_reachable(inner)
    if address in _NEVER or address.is_multicast or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address):
        return not address.is_reserved and address.packed[0] != 0  # 0.0.0.0/8 is this machine by another name
    return not address.is_reserved or address.is_loopback


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address that an IPv6 one stands for."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def check_url(settings: Settings, url: str, pointer: str, resolve: Resolve = resolve) -> None:
    """Refuses a URL that a webhook can never go to. May wait for a name server: call it outside a transaction.

    Args:
        settings: whether private addresses may be.
        url: the URL.
        pointer: the field that it came in.
        resolve: says what a host's addresses are.

    Raises:
        Problem: 422 if it is no URL of a webhook, or its host is known to be one that may not be called.
    """
    host, port = _parts(url, pointer)
    addresses = _soon(resolve, host, port)
    try:
        permitted(host, addresses, private=settings.allow_private_webhooks)
    except ForbiddenAddressError as error:
        raise invalid(pointer, str(error)) from None


def _parts(url: str, pointer: str) -> tuple[str, int]:
    """Returns the host and port of a URL."""
    wanted = "give an absolute URL such as https://example.org/hooks/accord"
    if len(url) > MOST_CHARACTERS:
        raise invalid(pointer, f"the URL has {len(url)} characters; at most {MOST_CHARACTERS} are taken")
    try:
        parsed = httpx.URL(url)
        port = parsed.port
    except (httpx.InvalidURL, ValueError):
        raise invalid(pointer, f"that is no URL; {wanted}") from None
    if parsed.scheme not in ("http", "https"):
        raise invalid(pointer, f"a webhook goes by http or https, not by {parsed.scheme or 'nothing'!r}; {wanted}")
    if not parsed.host:
        raise invalid(pointer, f"the URL names no host; {wanted}")
    if parsed.userinfo:
        raise invalid(
            pointer, "the URL holds a user name or password; leave them out: the signature says who it is from"
        )
    host = parsed.raw_host.decode("ascii")
    if "%" in host or (port is not None and not 0 < port < 1 << 16):  # a space, an interface of this machine
        raise invalid(pointer, f"the URL's host or port is none that the internet has; {wanted}")
    return host, port or (443 if parsed.scheme == "https" else 80)


def _soon(resolve: Resolve, host: str, port: int) -> Sequence[str]:
    """Returns a host's addresses; none if it has none, or nobody says in time."""
    answers: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, UnicodeError):  # a name server that is away now may not be when it counts
            answers.put(())

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        return answers.get(timeout=_RESOLVE_SECONDS)
    except queue.Empty:
        return ()

"""Where a webhook may go, and where not."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.problems import Problem
from app.settings import Settings
from app.webhooks.address import ForbiddenAddressError, check_url, is_public, is_reachable, permitted

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "::1",
    "fe80::1",
    "fe80::1%lo",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "2002:7f00:1::1",
    "2002:0a00:1::1",
    "64:ff9b:1::1",
]
NOWHERE = [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "ff0e::1",
    "::ffff:0.0.0.0",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "100.100.100.200",
    "fd00:ec2::254",
    "2002:a9fe:a9fe::1",
    "::127.0.0.1",
]
DOCUMENTATION = ["2001:db8::1", "3fff::1", "2001:0:1::1", "100::1"]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:8.8.8.8", "2002:101:101::1"]


@pytest.mark.parametrize("text", PRIVATE + NOWHERE + DOCUMENTATION)
def test_what_is_not_everybodys_is_refused(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_everybodys_is_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
    assert is_reachable(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.1", "169.254.1.1", "::1", "fe80::1", "fd12::1"])
def test_the_operator_may_allow_private_ones(text: str) -> None:
    assert permitted("host", [text], private=True) == [text]


@pytest.mark.parametrize("text", NOWHERE)
def test_but_not_what_is_no_machine_or_tells_secrets(text: str) -> None:
    assert not is_reachable(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    spellings = (0xFFFF << 32 | number, 0x0064FF9B << 96 | number, 0x2002 << 112 | number << 80)
    assert {is_public(ipaddress.IPv6Address(spelling)) for spelling in spellings} == {is_public(address)}


def test_one_private_address_among_many_refuses_all() -> None:
    with pytest.raises(ForbiddenAddressError, match=r"^host resolves to a private") as caught:
        permitted("host", ["1.1.1.1", "10.9.8.7"], private=False)
    assert "10.9.8.7" not in str(caught.value)


def check(url: str, *addresses: str, private: bool = False) -> None:
    def resolve(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("unknown")
        return list(addresses)

    check_url(Settings(allow_private_webhooks=private, _env_file=None), url, "/webhook_url", resolve)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("example.org/hook", "http or https"),
        ("/hook", "http or https"),
        ("", "http or https"),
        ("ftp://example.org/", "not by 'ftp'"),
        ("file:///etc/passwd", "not by 'file'"),
        ("http://", "no host"),
        ("https:///path", "no host"),
        ("http://user:word@example.org/", "user name or password"),
        ("http://user@example.org/", "user name or password"),
        ("http://exa mple.org/\n", "no URL"),
        ("http://1.1.1.1 /", "none that the internet has"),
        ("http://[fe80::1%25eth0]/", "none that the internet has"),
        ("http://1.1.1.1:99999/", "none that the internet has"),
        ("http://1.1.1.1:0/", "none that the internet has"),
        ("http://[::1/", "no URL"),
        ("http://example.org:port/", "no URL"),
        ("http://example.org/" + "x" * 2000, "characters"),
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused(url: str, why: str) -> None:
    with pytest.raises(Problem) as caught:
        check(url, "1.1.1.1")
    assert caught.value.status == 422
    assert why in caught.value.detail
    assert caught.value.errors[0].pointer == "/webhook_url"


def test_a_url_whose_host_is_private_is_refused_at_once_with_what_to_do() -> None:
    with pytest.raises(Problem, match="ACCORD_ALLOW_PRIVATE_WEBHOOKS"):
        check("https://intern.example/hook", "1.1.1.1", "192.168.0.1")
    check("https://intern.example/hook", "192.168.0.1", private=True)


def test_a_name_that_nobody_knows_for_now_is_looked_up_again_when_it_counts() -> None:
    check("https://example.org/hook")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0"])
def test_loopback_is_refused_however_it_is_spelt(host: str) -> None:
    with pytest.raises(Problem):
        check_url(Settings(_env_file=None), f"http://{host}:80/", "/webhook_url")

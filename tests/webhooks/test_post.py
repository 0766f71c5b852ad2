"""One delivery, sent: whom it reaches, what it carries, what counts as taken."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Sequence

import httpcore
import pytest

from app.webhooks.post import Letter, sender
from tests.webhooks.receiver import Receiver

SECRET = "whsec_test"


def letter(url: str) -> Letter:
    return Letter(
        "dlv_1", url, "comparison.succeeded", '{"event":"comparison.succeeded","name":"ä"}', SECRET, 1_800_000_000
    )


def test_a_body_arrives_with_its_id_and_a_signature_that_others_can_check(receiver: Receiver) -> None:
    assert sender(private=True)(letter(receiver.url(path="/hook?a=b"))).error is None
    ((path, headers, body),) = receiver.got
    assert path == "/hook?a=b"
    assert headers["accord-delivery"] == "dlv_1"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"

    # what the README tells a receiver to do
    parts = dict(part.split("=", 1) for part in headers["accord-signature"].split(","))
    expected = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, parts["v1"])
    assert parts["t"] == "1800000000"


def test_loopback_is_not_called_unless_it_may_be(receiver: Receiver) -> None:
    outcome = sender(private=False)(letter(receiver.url()))
    assert "private, loopback" in outcome.error
    assert receiver.got == []


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> list[str]:
    """Notes the addresses that are dialled; whichever it is, the receiver answers."""
    seen: list[str] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], *args: object, **options: object) -> socket.socket:
        seen.append(address[0])
        return real(("127.0.0.1", receiver.port), *args, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return seen


def test_a_name_is_resolved_once_and_the_checked_address_is_dialled(dialled: list[str], receiver: Receiver) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])  # DNS rebinding: the second answer would be ours
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    send = sender(private=False, resolve=resolve)
    assert send(letter("http://rebind.example/hook")).error is None
    assert dialled == ["93.184.216.34"]
    assert asked == ["rebind.example"]
    assert receiver.got[0][1]["host"] == "rebind.example"
    assert "private" in send(letter("http://rebind.example/hook")).error  # and the second answer is refused
    assert dialled == ["93.184.216.34"]


def test_a_private_address_behind_a_public_one_is_refused(dialled: list[str]) -> None:
    send = sender(private=False, resolve=lambda host, port: ["93.184.216.34", "fd00::1"])
    assert "private" in send(letter("http://both.example/")).error
    assert dialled == []


def test_an_address_that_does_not_answer_leaves_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    send = sender(private=True, resolve=lambda host, port: ["::1", "127.0.0.1"])
    assert send(letter(f"http://both.example:{port}/")).error == "it cannot be connected to"


def test_the_name_is_what_tls_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    class Stream(httpcore.NetworkStream):
        def start_tls(self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None):
            asked.append(server_hostname)
            raise httpcore.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")

        def close(self) -> None:
            pass

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", lambda *args: Stream())
    outcome = sender(private=False, resolve=lambda host, port: ["93.184.216.34"])(letter("https://good.example/"))
    assert asked == ["good.example"]
    assert "certificate" in outcome.error


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": receiver.url(path="/other")}
    assert "redirects are not followed" in sender(private=True)(letter(receiver.url())).error
    assert [path for path, _, _ in receiver.got] == ["/hook"]


@pytest.mark.parametrize(
    ("status", "taken", "final"),
    [(200, True, False), (204, True, False), (400, False, False), (410, False, True), (503, False, False)],
)
def test_two_hundreds_are_taken_and_gone_is_the_end(receiver: Receiver, status: int, taken: bool, final: bool) -> None:
    receiver.status = status
    outcome = sender(private=True)(letter(receiver.url()))
    assert (outcome.error is None, outcome.final) == (taken, final)


def test_nobody_there_and_no_such_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert sender(private=True)(letter(f"http://127.0.0.1:{port}/")).error == "it cannot be connected to"

    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror("unknown")

    assert sender(private=True, resolve=unknown)(letter("http://x.example/")).error == "it cannot be connected to"


def test_an_answer_without_end_and_one_that_drips_are_cut_off() -> None:
    """The head's bytes come one by one, each in time; together they are not. A body is not waited for at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                while not done.wait(0.01):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        outcome = sender(private=True, seconds=0.3)(letter(f"http://127.0.0.1:{port}/"))
        done.set()
        thread.join()
    assert outcome.error is not None

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def endless() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx")
                connection.recv(1)  # until the other side closes

        thread = threading.Thread(target=endless)
        thread.start()
        assert sender(private=True)(letter(f"http://127.0.0.1:{port}/")).error is None
        thread.join()

"""The outbox is emptied: each delivery by one courier at a time, again when it failed, and not for ever."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from app.storage import Database
from app.storage.tables import counters, deliveries, teams
from app.teams import keys
from app.webhooks import enqueue
from app.webhooks.courier import LEASE_SECONDS, MOST_ATTEMPTS, Courier, forget, wait_seconds
from app.webhooks.post import Letter, Outcome
from tests.webhooks.receiver import Clock


class Sent:
    """Notes what is sent, and answers as it is told."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.letters: list[Letter] = []
        self.outcomes = list(outcomes)

    def __call__(self, letter: Letter) -> Outcome:
        self.letters.append(letter)
        return self.outcomes.pop(0) if self.outcomes else Outcome()


def put(database: Database, team: str, clock: Clock, url: str = "https://example.org/", count: int = 1) -> list[str]:
    with database.write() as connection:
        return [
            enqueue(connection, team=team, url=url, event="comparison.succeeded", content={"id": "cmp_1"}, at=clock.at)
            for _ in range(count)
        ]


def rows(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(deliveries).order_by(deliveries.c.id)).mappings()]


def go(database: Database, sent: Any, clock: Clock) -> None:
    courier = Courier(database, sent, now=clock, chance=lambda: 0.0)
    courier.run()
    courier.wait()


def test_what_is_due_is_sent_once(database: Database, team: str, clock: Clock) -> None:
    (delivery,) = put(database, team, clock)
    sent = Sent()
    for _ in range(3):
        go(database, sent, clock)
    assert [letter.id for letter in sent.letters] == [delivery]
    (row,) = rows(database)
    assert (row["state"], row["attempts"], row["delivered_at"]) == ("delivered", 1, clock.at)


def test_a_team_without_a_secret_gets_one_and_keeps_it(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock, count=2)
    sent = Sent()
    go(database, sent, clock)
    with database.read() as connection:
        kept = connection.execute(sa.select(teams.c.webhook_secret).where(teams.c.id == team)).scalar_one()
    assert [letter.secret for letter in sent.letters] == [kept, kept]
    assert kept.startswith("whsec_")


def test_what_fails_is_tried_again_later_and_later_under_the_same_id(
    database: Database, team: str, clock: Clock
) -> None:
    put(database, team, clock)
    sent = Sent(*[Outcome("it answered 500")] * 3)
    waits = []
    for _ in range(4):
        go(database, sent, clock)
        (row,) = rows(database)
        if row["state"] == "pending":
            waits.append(row["next_at"] - clock.at)
            assert row["last_error"] == "it answered 500"
            clock.at = row["next_at"] - 0.001
            go(database, sent, clock)  # too early: nothing happens
            clock.at = row["next_at"]
    assert waits == [5.0, 10.0, 20.0]
    assert (row["state"], row["attempts"], row["last_error"]) == ("delivered", 4, None)
    assert len({letter.id for letter in sent.letters}) == 1
    assert len({letter.moment for letter in sent.letters}) == 4  # signed anew: a receiver may refuse what is old


def test_it_is_given_up_in_the_end(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock)
    sent = Sent(*[Outcome("it answered 500")] * 100)
    began = clock.at
    for _ in range(MOST_ATTEMPTS + 3):
        go(database, sent, clock)
        clock.at = max(clock.at, rows(database)[0]["next_at"])
    (row,) = rows(database)
    assert (row["state"], row["attempts"], row["last_error"]) == ("given_up", MOST_ATTEMPTS, "it answered 500")
    assert len(sent.letters) == MOST_ATTEMPTS
    assert clock.at - began < 12 * 3600


def test_what_is_gone_is_given_up_at_once(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock)
    go(database, Sent(Outcome("it answered 410", final=True)), clock)
    assert rows(database)[0]["state"] == "given_up"


def test_waits_are_apart_by_chance() -> None:
    assert wait_seconds(3, 0.0) < wait_seconds(3, 0.5) < wait_seconds(3, 1.0) <= 1.5 * wait_seconds(3, 0.0)


def test_two_couriers_at_once_send_each_once(database: Database, team: str, clock: Clock) -> None:
    ids = [
        delivery
        for number in range(6)
        for delivery in put(database, team, clock, url=f"https://host{number}.example/", count=5)
    ]
    sent = Sent()
    couriers = [Courier(database, sent, now=clock) for _ in range(3)]
    barrier = threading.Barrier(len(couriers))

    def work(courier: Courier) -> None:
        barrier.wait()
        for _ in range(3):  # a team's hosts are some at a time
            courier.run()
            courier.wait()

    threads = [threading.Thread(target=work, args=(courier,)) for courier in couriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(letter.id for letter in sent.letters) == sorted(ids)


def test_one_in_hand_is_nobody_elses_until_its_courier_must_be_dead(
    database: Database, team: str, clock: Clock
) -> None:
    (delivery,) = put(database, team, clock)
    other = Sent()

    def meanwhile(letter: Letter) -> Outcome:
        clock.at += LEASE_SECONDS - 1
        go(database, other, clock)
        assert other.letters == []
        clock.at += 2  # we seem dead: another takes it, and succeeds
        go(database, other, clock)
        return Outcome("it answered 500")

    go(database, meanwhile, clock)
    assert [letter.id for letter in other.letters] == [delivery]
    (row,) = rows(database)
    assert (row["state"], row["attempts"], row["last_error"]) == ("delivered", 2, None)  # we changed nothing


def test_a_courier_that_dies_leaves_it_to_the_next(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock)
    dead = Courier(database, Sent(), now=clock)
    assert dead._take(rows(database)[0]["id"]) is not None  # and never came back
    sent = Sent()
    go(database, sent, clock)
    assert sent.letters == []
    clock.at += LEASE_SECONDS
    go(database, sent, clock)
    assert len(sent.letters) == 1


def test_what_kills_every_courier_is_given_up_too(database: Database, team: str, clock: Clock) -> None:
    (delivery,) = put(database, team, clock)
    courier = Courier(database, Sent(), now=clock)
    for _ in range(MOST_ATTEMPTS + 2):
        courier._take(delivery)
        clock.at += LEASE_SECONDS
    (row,) = rows(database)
    assert (row["state"], row["attempts"]) == ("given_up", MOST_ATTEMPTS)


def test_a_defect_is_a_failed_attempt_and_not_the_end_of_the_rest(database: Database, team: str, clock: Clock) -> None:
    first, second = put(database, team, clock, count=2)

    def send(letter: Letter) -> Outcome:
        if letter.id == first:
            raise ValueError("a defect with a secret")
        return Outcome()

    for _ in range(2):
        go(database, send, clock)
    states = {row["id"]: (row["state"], row["last_error"]) for row in rows(database)}
    assert states[second] == ("delivered", None)
    assert states[first][0] == "pending"
    assert "secret" not in states[first][1]


def test_a_slow_host_holds_up_its_own_alone(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock, url="https://slow.example/", count=2)
    released = threading.Event()
    quick = threading.Event()

    def send(letter: Letter) -> Outcome:
        if "slow" in letter.url:
            assert released.wait(30)
        else:
            quick.set()
        return Outcome()

    courier = Courier(database, send, now=clock)
    courier.run()
    put(database, team, clock, url="https://quick.example/")
    courier.run()  # returns, though the slow one is in hand
    assert quick.wait(30)
    released.set()
    courier.wait()
    assert {row["state"] for row in rows(database)} == {"delivered"}


def test_an_address_that_takes_nothing_comes_after_those_that_do(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock, url="https://dead.example/", count=50)
    sent = Sent(Outcome("it cannot be connected to"))
    go(database, sent, clock)
    assert len(sent.letters) == 1  # nobody waits for it fifty times
    clock.at += 1
    put(database, team, clock, url="https://quick.example/")
    assert Courier(database, sent, now=clock)._due() == [
        (team, "https://quick.example/"),
        (team, "https://dead.example/"),
    ]


def test_a_team_of_many_slow_hosts_holds_up_itself_alone(database: Database, team: str, clock: Clock) -> None:
    with database.write() as connection:
        other = keys.ensure_team(database, connection, "theirs")
    for number in range(60):
        put(database, team, clock, url=f"https://slow{number}.example/")
    clock.at += 1
    put(database, other, clock, url="https://quick.example/")
    released, quick = threading.Event(), threading.Event()
    at_once: list[str] = []

    def send(letter: Letter) -> Outcome:
        if "slow" in letter.url:
            at_once.append(letter.url)
            assert released.wait(30)
        else:
            quick.set()
        return Outcome()

    courier = Courier(database, send, now=clock)
    courier.run()
    assert quick.wait(30)
    assert len(at_once) <= 4
    released.set()
    while any(row["state"] == "pending" for row in rows(database)):
        courier.run()
        courier.wait()
    assert len(at_once) == 60


def test_teams_take_turns_however_many_addresses_one_has(
    database: Database, team: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.webhooks.courier._LOOKED_AT", 3)
    with database.write() as connection:
        other = keys.ensure_team(database, connection, "theirs")
    for number in range(5):
        put(database, team, clock, url=f"https://host{number}.example/")
    clock.at += 1
    put(database, other, clock, url="https://last.example/")
    due = Courier(database, Sent(), now=clock)._due()
    assert due == [
        (team, "https://host0.example/"),
        (other, "https://last.example/"),
        (team, "https://host1.example/"),
    ]


def test_what_is_sent_and_how_it_ends_is_counted(database: Database, team: str, clock: Clock) -> None:
    put(database, team, clock, count=3)
    sent = Sent(Outcome(), Outcome("it said no", final=True), Outcome("it is away"))
    for _ in range(3):
        go(database, sent, clock)
    with database.read() as connection:
        asked = sa.select(counters.c.name, counters.c.labels, counters.c.value).order_by(counters.c.labels)
        found = {(name, labels): value for name, labels, value in connection.execute(asked)}
    assert found == {
        ("accord_webhook_attempts", "{}"): 3,
        ("accord_webhooks_ended", '{"state": "delivered"}'): 1,
        ("accord_webhooks_ended", '{"state": "given_up"}'): 1,
    }


@pytest.mark.parametrize(("seconds", "left"), [(10.0, 1), (0.0, 0)])
def test_old_ones_that_ended_are_forgotten(
    database: Database, team: str, clock: Clock, seconds: float, left: int
) -> None:
    put(database, team, clock)
    clock.at += 5
    assert forget(database, 0.0, clock) == 0  # still to be sent
    go(database, Sent(), clock)
    forget(database, seconds, clock)
    assert len(rows(database)) == left

"""Courier: takes what is due out of the outbox and sends it. Any number of workers has one.

A delivery is taken by a conditional update that moves its `next_at` beyond the longest that sending it can last: that
is the lease. Nobody else takes it meanwhile; if its courier dies, it is due again when the lease is over. So each is
sent at least once, and `Accord-Delivery` says to whom gets it twice that it is the same.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import httpx
import sqlalchemy as sa
import structlog
from sqlalchemy import RowMapping

from app.storage import Database, counters
from app.storage.database import is_outage
from app.storage.ids import first_of
from app.storage.purge import purge
from app.storage.tables import deliveries, teams
from app.webhooks.post import Letter, Outcome, Send
from app.webhooks.signature import new_secret

_LOG = structlog.get_logger("accord.webhooks")
Clock = Callable[[], sa.ColumnElement[float]]
LEASE_SECONDS = 120.0  # more than resolving and sending can take
MOST_ATTEMPTS = 15  # with the waits below, about seven hours
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 3600.0
# Hosts that are sent to at once, and those of a team: one that is slow holds up its own deliveries alone, and a team
# that has many of them holds up itself alone.
_AT_ONCE, _OF_A_TEAM = 32, 4
_LOOKED_AT = 500


def wait_seconds(attempts: int, chance: float) -> float:
    """Returns how long to wait after so many attempts: twice as long each time, and by chance up to half of it more.

    >>> [wait_seconds(attempts, 0.0) for attempts in (1, 2, 3, 14)]
    [5.0, 10.0, 20.0, 3600.0]
    """
    return min(_FIRST_WAIT * 2.0 ** (attempts - 1), _LONGEST_WAIT) * (1 + chance / 2)


class Courier:
    """Sends what is due."""

    def __init__(
        self,
        database: Database,
        send: Send,
        *,
        now: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Takes its parts.

        Args:
            database: where the outbox is.
            send: sends one.
            now: says what time it is; unset is the database's clock.
            chance: a number from 0 to 1, so that many do not come back at one moment.
        """
        self._database, self._send, self._chance = database, send, chance
        self._now = now or database.now
        self._lock = threading.Lock()
        self._rounds: dict[tuple[str, str], threading.Thread] = {}  # by team and host

    def run(self) -> None:
        """Begins to send what is due, a thread for a team's host; does not wait for those that it still sends to."""
        for team, url in self._due():
            place = (team, httpx.URL(url).netloc.decode())
            with self._lock:
                of_team = sum(owner == team for owner, _ in self._rounds)
                if place in self._rounds or of_team >= _OF_A_TEAM or len(self._rounds) >= _AT_ONCE:
                    continue
                thread = threading.Thread(target=self._round, args=(place, url), name="webhook", daemon=True)
                self._rounds[place] = thread
            thread.start()

    def wait(self) -> None:
        """Waits until all that was begun is done."""
        while True:
            with self._lock:
                running = list(self._rounds.values())
            if not running:
                return
            for thread in running:
                thread.join()

    def _due(self) -> Sequence[tuple[str, str]]:
        """Returns the teams and addresses that something is due for: of each team one, then of each another, and so on.

        Of a team those that take what they are sent come first: however much waits for one that is dead, it is one
        address, and comes after the others.
        """
        urgency = (sa.func.max(deliveries.c.attempts), sa.func.min(deliveries.c.next_at))
        turn = sa.func.row_number().over(partition_by=deliveries.c.team_id, order_by=urgency)
        asked = (
            sa.select(deliveries.c.team_id, deliveries.c.url)
            .where(deliveries.c.state == "pending")
            .group_by(deliveries.c.team_id, deliveries.c.url)
            .having(sa.func.min(deliveries.c.next_at) <= self._now())
            .order_by(turn, *urgency)
            .limit(_LOOKED_AT)
        )
        with self._database.read() as connection:
            return [(team, url) for team, url in connection.execute(asked)]

    def _round(self, place: tuple[str, str], url: str) -> None:
        """Sends what is due of a team for an address, until one is not taken: the rest is for a later round."""
        team, host = place
        ours = (deliveries.c.state == "pending", deliveries.c.team_id == team, deliveries.c.url == url)
        due = (
            sa.select(deliveries.c.id)
            .where(*ours, deliveries.c.next_at <= self._now())
            .order_by(deliveries.c.attempts, deliveries.c.next_at, deliveries.c.id)
            .limit(_LOOKED_AT)
        )
        try:
            with self._database.read() as connection:
                ids = connection.execute(due).scalars().all()
            for delivery in ids:
                taken = self._take(delivery)
                if taken is None:
                    continue
                row, letter = taken
                outcome = self._sent(letter)
                self._note(row, outcome)
                if outcome.error is not None:
                    break
        except Exception as error:
            if is_outage(error):
                _LOG.warning("the database is away")
            else:
                _LOG.exception("deliveries failed", host=host)
        finally:
            with self._lock:
                del self._rounds[place]

    def _sent(self, letter: Letter) -> Outcome:
        try:
            return self._send(letter)
        except Exception:
            _LOG.exception("delivery failed", delivery=letter.id)
            return Outcome("the server made a mistake; its log says more")

    def _take(self, delivery: str) -> tuple[RowMapping, Letter] | None:
        """Returns a delivery that is in our hands from now on; None if it is in another's, or done."""
        with self._database.write() as connection:
            now = self._now()
            row = (
                connection.execute(
                    deliveries.update()
                    .where(deliveries.c.id == delivery, deliveries.c.state == "pending", deliveries.c.next_at <= now)
                    .values(next_at=now + LEASE_SECONDS, attempts=deliveries.c.attempts + 1)
                    .returning(*deliveries.c, sa.cast(now, sa.Float).label("now"))
                )
                .mappings()
                .one_or_none()
            )
            if row is None:
                return None
            if row["attempts"] > MOST_ATTEMPTS:  # whoever took it last never came to say how it went
                given_up = {"state": "given_up", "attempts": MOST_ATTEMPTS}
                connection.execute(deliveries.update().where(deliveries.c.id == delivery).values(**given_up))
                counters.add(connection, "accord_webhooks_ended", 1, state="given_up")
                return None
            ours = teams.c.id == row["team_id"]
            connection.execute(
                teams.update().where(ours, teams.c.webhook_secret.is_(None)).values(webhook_secret=new_secret())
            )
            secret = connection.execute(sa.select(teams.c.webhook_secret).where(ours)).scalar_one()
            counters.add(connection, "accord_webhook_attempts", 1)
        return row, Letter(row["id"], row["url"], row["event"], row["body"], secret, int(row["now"]))

    def _note(self, row: RowMapping, outcome: Outcome) -> None:
        """Writes what came of it, if the delivery is still in our hands."""
        attempts = row["attempts"]
        with self._database.write() as connection:
            now = self._now()
            if outcome.error is None:
                values = {"state": "delivered", "delivered_at": now, "last_error": None}
            elif outcome.final or attempts >= MOST_ATTEMPTS:
                values = {"state": "given_up", "last_error": outcome.error}
            else:
                values = {"next_at": now + wait_seconds(attempts, self._chance()), "last_error": outcome.error}
            noted = connection.execute(
                deliveries.update()
                .where(
                    deliveries.c.id == row["id"],
                    deliveries.c.state == "pending",
                    deliveries.c.attempts == attempts,  # whoever took it after us has counted on
                )
                .values(**values)
                .returning(deliveries.c.state)
            ).scalar_one_or_none()
            if noted in ("delivered", "given_up"):
                counters.add(connection, "accord_webhooks_ended", 1, state=noted)
        _LOG.info("webhook", delivery=row["id"], webhook_event=row["event"], attempts=attempts, error=outcome.error)


def forget(database: Database, seconds: float, now: Clock | None = None) -> int:
    """Deletes deliveries that are so old, and are done; returns how many."""
    with database.read() as connection:
        moment = connection.execute(sa.select((now or database.now)())).scalar_one() - seconds
    return purge(
        database,
        deliveries,
        deliveries.c.id < first_of("delivery", moment),
        deliveries.c.created_at < moment,
        deliveries.c.state != "pending",
    )

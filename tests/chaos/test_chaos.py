"""Whatever becomes of workers and databases, every job ends, once. Short; `python -m tests.chaos.long` is long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import scenarios
from tests.chaos.arena import Arena, arena
from tests.chaos.scenarios import Figures
from tests.chaos.servers import Server, server
from tests.databases import SERVER

pytestmark = pytest.mark.chaos


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Arena]:
    with arena(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[Server]:
    """A database that can be taken away, of the kind that this run is over."""
    with server("postgresql" if SERVER else "sqlite", tmp_path) as made:
        yield made


def all_ended_once(found: Figures, jobs: int) -> None:
    assert {found[name] for name in ("jobs", "succeeded", "results", "settled")} == {jobs}
    assert found["left"] == 0


def test_killed_at_random(stage: Arena) -> None:
    found = scenarios.killed_at_random(stage, jobs=30, kills=5, seconds=0.2)
    all_ended_once(found, 30)
    assert found["kills"] > 0


def test_taken_over_within_the_lease_and_three_seconds(stage: Arena) -> None:
    found = scenarios.taken_over(stage, times=1)
    all_ended_once(found, 1)
    assert found["takeover"] <= found["lease"] + 3
    assert found["begun"] == 2


def test_frozen_past_its_lease_and_woken(stage: Arena) -> None:
    all_ended_once(scenarios.frozen(stage, times=1), 1)


def test_a_long_queue_is_drained_without_a_duplicate(stage: Arena) -> None:
    found = scenarios.drained(stage, jobs=100)
    all_ended_once(found, 100)
    assert found["begun"] == 100


def test_the_database_is_away_for_longer_than_a_lease(fragile: Server, tmp_path: Path) -> None:
    with arena(fragile.url, tmp_path) as stage:
        found = scenarios.database_away(stage, fragile, seconds=6, jobs=4)
    all_ended_once(found, 5)
    assert found["losses"] == 0  # nobody was taken for dead


def test_told_to_stop_while_the_database_is_away(fragile: Server, tmp_path: Path) -> None:
    with arena(fragile.url, tmp_path) as stage:
        all_ended_once(scenarios.stopped_while_away(stage, fragile), 1)


def test_the_disk_is_full_for_a_while(stage: Arena) -> None:
    found = scenarios.disk_full(stage)
    all_ended_once(found, 2)
    assert found["attempts"] == 1


def test_told_to_stop(stage: Arena) -> None:
    all_ended_once(scenarios.told_to_stop(stage), 2)

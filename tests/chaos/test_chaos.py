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
    found = scenarios.killed_at_random(stage, jobs=30, kills=5, seconds=0.3)
    all_ended_once(found, 30)
    assert found["losses"] > 0  # workers died with jobs in hand, some before the job's process had begun


def test_killed_then_frozen_past_its_lease_and_woken(stage: Arena) -> None:
    """What a killed worker did another has in hand within the lease and three seconds; a frozen one is fenced."""
    found = scenarios.taken_over(stage, times=1)
    all_ended_once(found, 1)
    assert found["takeover"] <= found["lease"] + 3
    assert found["begun"] == 2
    all_ended_once(scenarios.frozen(stage, times=1), 2)


def test_a_long_queue_is_drained_without_a_duplicate(stage: Arena) -> None:
    found = scenarios.drained(stage, jobs=60)
    all_ended_once(found, 60)
    assert found["begun"] == 60


def test_the_database_is_away_for_longer_than_a_lease(fragile: Server, tmp_path: Path) -> None:
    with arena(fragile.url, tmp_path) as stage:
        found = scenarios.database_away(stage, fragile, seconds=5, jobs=3)
    all_ended_once(found, 4)
    assert found["losses"] == 0  # nobody was taken for dead


def test_the_disk_is_full_for_a_while_then_told_to_stop(stage: Arena) -> None:
    found = scenarios.disk_full(stage)
    all_ended_once(found, 2)
    assert found["attempts"] == 1
    all_ended_once(scenarios.told_to_stop(stage), 4)


def test_the_database_is_made_anew_under_a_worker(stage: Arena) -> None:
    found = scenarios.made_anew(stage)
    all_ended_once(found, 1)
    assert stage.said("the database is another") == 1


def test_told_to_stop_while_its_processes_load(stage: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    all_ended_once(scenarios.told_to_stop_while_loading(stage, monkeypatch), 1)


def test_told_to_stop_with_all_its_processes(stage: Arena) -> None:
    found = scenarios.told_to_stop_one_and_all(stage)
    all_ended_once(found, 1)
    assert (found["begun"], found["losses"]) == (2, 0)

"""The long form of the chaos tests: each scenario at its full size, over both databases, as a table.

python -m tests.chaos.long [sqlite|postgresql]…
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.chaos import scenarios
from tests.chaos.arena import Arena, arena
from tests.chaos.scenarios import Figures
from tests.chaos.servers import Server, server

Scenario = Callable[[Arena, Server], Figures]


def alone(scenario: Callable[..., Figures], **size: float) -> Scenario:
    """A scenario that leaves the database where it is."""
    return lambda stage, _: scenario(stage, **size)


SCENARIOS: dict[str, Scenario] = {
    "workers killed at random": alone(scenarios.killed_at_random, jobs=30, kills=20, seconds=1.0),
    "a worker killed, taken over": alone(scenarios.taken_over, times=5),
    "a worker frozen, then woken": alone(scenarios.frozen, times=3),
    "1,000 jobs, two workers": alone(scenarios.drained, jobs=1000),
    "the database away": partial(scenarios.database_away, seconds=35.0, jobs=10),
    "the database away, told to stop": scenarios.stopped_while_away,
    "the disk full": alone(scenarios.disk_full),
    "told to stop": alone(scenarios.told_to_stop),
}


def main(kinds: list[str]) -> int:
    """Prints a line a scenario and database; returns 1 if a job was lost, doubled or left a process behind."""
    wrong = 0
    print(f"{'database':11}{'what happens':33}{'jobs':>5}{'once':>6}{'left':>6}  more")
    for kind in kinds:
        for name, scenario in SCENARIOS.items():
            folder = Path(tempfile.mkdtemp(prefix="accord-chaos-"))
            with server(kind, folder) as database, arena(database.url, folder) as stage:
                found = scenario(stage, database)
            shutil.rmtree(folder)
            once = min(found.pop(count) for count in ("succeeded", "results", "settled"))
            jobs, left = found.pop("jobs"), found.pop("left")
            more = ", ".join(f"{name} {value:g}" for name, value in found.items())
            print(f"{kind:11}{name:33}{jobs:5g}{once:6g}{left:6g}  {more}", flush=True)
            wrong += once != jobs or left != 0
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["sqlite", "postgresql"]))

"""A training that is broken off goes on from what was kept, to the same bits; one that cannot go on says why."""

from pathlib import Path
from typing import Any

import pytest

from app.jobs import Context
from app.jobs.child import FINAL, _explain
from app.storage.tables import jobs
from app.trainings.figures import FOLDER, TRAINED
from app.trainings.files import UNFINISHED
from app.trainings.work import train_pair
from app.worker import for_work
from tests.trainings.conftest import PATH, Gym

SHORT: dict[str, Any] = {"recipe": "linear", "steps": 100, "seed": 5}
MLP: dict[str, Any] = {"recipe": "mlp", "steps": 200}
VOLATILE = ("models", "figures")


class Bench:
    """The work of one training, done here, with a look at its progress."""

    def __init__(self, gym: Gym, **changes: Any) -> None:
        self.id = gym.ask(**{**SHORT, **changes}).json()["id"]
        self.gym, self.told = gym, list[tuple[str, int, int]]()
        with gym.service.database.read() as connection:
            (row,) = connection.execute(jobs.select().where(jobs.c.id == self.id)).mappings()
        self.payload = row["payload"]
        self.folder = gym.service.settings.data_dir / FOLDER / self.payload["place"]

    def work(self, stop_at: int | None = None) -> dict[str, Any]:
        """Its result; stopped, as a process is that is killed, once so many steps were told of."""
        self.told.clear()

        def progress(stage: str, done: int, total: int) -> None:
            self.told.append((stage, done, total))
            if stop_at is not None and done >= stop_at:
                raise KeyboardInterrupt

        context = Context("cpu", for_work(self.gym.service.settings), progress)
        return dict(train_pair(self.payload, context).result)

    def weights(self, result: dict[str, Any]) -> list[bytes]:
        """Both models' files."""
        folders = [facts["reference"].removeprefix("path:") for facts in result["figures"][TRAINED].values()]
        return [(Path(folder) / "model.safetensors").read_bytes() for folder in folders]


def plain(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in VOLATILE}


@pytest.mark.parametrize("change", [{}, MLP])
def test_broken_off_it_goes_on_to_the_same_bits(gym: Gym, change: dict[str, Any]) -> None:
    whole, broken = Bench(gym, **change), Bench(gym, **change)
    result = whole.work()
    steps = [(done, total) for stage, done, total in whole.told if stage == "train"]
    assert steps == sorted(steps)
    assert (steps[0][0], steps[-1][0]) == (0, steps[0][1])
    assert whole.told[-1][0] == "store"
    with pytest.raises(KeyboardInterrupt):
        broken.work(stop_at=steps[0][1] // 2 + 1)
    again = broken.work()
    assert steps[0][1] // 2 <= broken.told[0][1] < steps[0][1]  # not from the beginning
    assert plain(again) == plain(result)
    assert broken.weights(again) == whole.weights(result)


@pytest.mark.parametrize("damage", ["torn", "of another version"])
def test_a_state_that_cannot_be_used_is_as_if_there_were_none(gym: Gym, damage: str) -> None:
    whole, broken = Bench(gym), Bench(gym)
    with pytest.raises(KeyboardInterrupt):
        broken.work(stop_at=60)
    state = broken.folder / UNFINISHED
    content = state.read_bytes()
    old = content.replace(rb"\"seed\": 5", rb"\"seed\": 6")
    state.write_bytes(content[: len(content) // 2] if damage == "torn" else old)
    assert old != content
    again = broken.work()
    assert broken.told[0][1] == 0
    assert plain(again) == plain(whole.work())


def test_two_workers_at_the_same_training_do_not_spoil_what_is_kept(gym: Gym) -> None:
    """One was frozen past its lease and wakes while the other works: each has drafts of its own."""
    bench = Bench(gym)
    with pytest.raises(KeyboardInterrupt):
        bench.work(stop_at=60)
    (bench.folder / ".leftover").write_bytes(b"half of a state")
    (bench.folder / f"{UNFINISHED.removesuffix('.safetensors')}.draft").mkdir()  # a draft of the common name cannot be
    first, second = bench.work(), bench.work()
    assert plain(first) == plain(second)
    assert bench.weights(first) == bench.weights(second)
    assert first["models"] != second["models"]


def test_one_that_diverges_says_which_network_at_which_step_and_is_not_tried_again(gym: Gym) -> None:
    found = gym.train(recipe="linear", objective="plain", weight_decay=1e6)
    assert (found["status"], found["attempts"], found["result"]) == ("failed", 1, None)
    for part in ("network a diverged at step ", "no longer a finite number", "lower the weight decay"):
        assert part in found["error"]["detail"]
    from alignment.errors import DivergenceError

    assert _explain(DivergenceError("x"))[0] == FINAL
    assert gym.service.client.get("/v1/models").json()["items"] == []


def test_what_collapses_to_nothing_is_null_and_no_defect(gym: Gym) -> None:
    found = gym.train(recipe="mlp", weight_decay=100.0, steps=300)
    assert found["error"] is None
    cells = [cell for row in found["result"]["alignment"]["grid"] for cell in row]
    assert all(cell is None or 0 <= cell <= 1.000001 for cell in cells)


def test_a_probe_set_that_changed_is_not_learnt_from(gym: Gym, rows: Any) -> None:
    gym.probe("r", **rows())
    made = gym.ask(recipe="mlp", data="r", steps=10).json()["id"]
    (file,) = (gym.service.settings.data_dir / "uploads").rglob("*.npz")
    import numpy as np

    np.savez(file, **rows(90))
    gym.service.work_off()
    found = gym.service.client.get(f"{PATH}/{made}").json()
    assert "holds other items" in found["error"]["detail"]
    assert str(gym.folder) not in str(found)


def test_each_of_a_minibatchs_steps_is_told_of(gym: Gym) -> None:
    bench = Bench(gym, recipe="mlp", steps=20)
    bench.work()
    told = [done for stage, done, _ in bench.told if stage == "train"]
    assert told == sorted(told)
    assert set(told) == set(range(21))

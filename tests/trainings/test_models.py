"""A training's models: registered with its result, once; used like any others; their files live as long as need be."""

import io
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.files import probe_file
from app.jobs import Context
from app.jobs.retention import forget
from app.storage.tables import jobs, models
from app.trainings.figures import FOLDER
from app.trainings.results import PairAlignment
from app.trainings.retention import clear
from app.trainings.work import finite, train_pair
from app.worker import for_work
from tests.trainings.conftest import PATH, TINY, Gym


def files(gym: Gym) -> list[str]:
    """What lies in the folder of trainings, without the names of places and attempts."""
    root = gym.service.settings.data_dir / FOLDER
    return sorted("/".join(path.parts[len(root.parts) + 1 :]) for path in root.rglob("*") if path.is_file())


def comparison(gym: Gym, a: str, b: str, probe: str) -> Any:
    """The best CKA of two models, in exact settings."""
    exact = {"preprocess": {"clip": None, "normalize": False}, "calibration": {"permutations": 0, "resamples": 0}}
    body = {"model_a": a, "model_b": b, "probe": probe, "metrics": ["cka"], **exact}
    answer = gym.service.client.post("/v1/comparisons", json=body)
    assert answer.status_code == 202, answer.text
    gym.service.work_off()
    found = gym.service.client.get(answer.headers["Location"]).json()
    assert found["error"] is None
    return found["result"]


def test_the_result_is_that_of_the_science_and_both_models_are_registered(gym: Gym) -> None:
    found = gym.train()
    result, here = found["result"], train(TrainingRequest(**TINY)).to_dict({})
    for part in ("alignment", "balance", "prediction", "sharpness", "task", "loss", "warnings"):
        assert result[part] == finite(here[part])
    assert result["alignment"]["history"][-1]["grid"] == result["alignment"]["grid"]  # each pair's, at each step
    assert result["provenance"]["request"] == found["request"]
    assert str(gym.folder) not in str(found)
    for member in "ab":
        model = gym.model(result["models"][member])
        assert model["name"] == f"{found['id']}/{member}"
        assert model["source"] == {"type": "training", "id": found["id"], "member": member}
        assert (model["modality"], model["team"]) == ("array", "default")
        assert [layer["name"] for layer in model["layers"]] == result["alignment"][f"layers_{member}"]
        assert model["parameters"] > 0
        listed = gym.service.client.get(PATH, params={"model": model["id"]}).json()["items"]
        assert [item["id"] for item in listed] == [found["id"]]
    assert gym.service.client.get("/v1/me").json()["use"]["stored_bytes"] > 0


def test_they_are_compared_on_the_items_that_come_with_them_and_studied(gym: Gym) -> None:
    found = gym.train(steps=250, seed=7)
    answer = gym.service.client.get(f"{PATH}/{found['id']}/probe")
    assert answer.headers["content-type"] == "application/vnd.numpy.npz"
    gym.upload("views", answer.content)
    a = found["result"]["models"]["a"]
    compared = comparison(gym, a, f"{found['id']}/b", "views")
    assert np.array(compared["metrics"][0]["grid"]).min() > 0.9999

    plain = gym.train(objective="plain", steps=1000, seed=7)["result"]["models"]["a"]
    gym.probe("x", x=np.load(io.BytesIO(answer.content))["a"])
    body = {
        "models": [a, plain],
        "probe": "x",
        "metrics": ["cka"],
        "preprocess": {"clip": None, "normalize": False},
        "calibration": {"permutations": 19, "resamples": 0},
        "reference": {"kind": "training", "training": found["id"]},
    }
    answer = gym.service.client.post("/v1/studies", json=body)
    assert answer.json()["request"]["reference"] == {"kind": "training", "training": found["id"], "member": "a"}
    gym.service.work_off()
    study = gym.service.client.get(answer.headers["Location"]).json()
    assert study["error"] is None
    cka = next(m for m in study["result"]["prediction"]["metrics"] if m["name"] == "cka")
    assert min(cka["models"][0]["scores"]) > 0.9999 > 0.99 > min(cka["models"][1]["scores"])
    assert study["result"]["prediction"]["kernel"]["kind"] == "training"
    assert str(gym.folder) not in str(study)


@pytest.mark.parametrize(
    ("reference", "pointer"),
    [
        ({"kind": "training", "training": "trn_01kb0000000000000000000000"}, "/reference/training"),
        ({"kind": "training"}, "/reference/training"),
        ({"kind": "training", "training": "trn_x", "upload": "upl_x"}, "/reference/upload"),
        ({"kind": "kernel", "upload": "upl_x", "training": "trn_x"}, "/reference/training"),
        ({"kind": "kernel"}, "/reference/upload"),
        ({"kind": "counts", "upload": "upl_x", "member": "b"}, "/reference/member"),
    ],
)
def test_a_reference_names_what_its_kind_needs(gym: Gym, reference: dict[str, str], pointer: str) -> None:
    gym.probe("x", x=np.eye(40))
    for name in ("one", "two"):
        source = {"type": "huggingface", "id": f"org/{name}"}
        gym.service.client.post("/v1/models", json={"name": name, "source": source})
    body = {"models": ["one", "two"], "probe": "x", "reference": reference}
    answer = gym.service.client.post("/v1/studies", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_training_that_theory_says_nothing_of_is_no_reference(gym: Gym) -> None:
    made = gym.train(recipe="mlp", steps=1)
    gym.probe("x", x=np.eye(40))
    body = {"models": list(made["result"]["models"].values()), "probe": "x"}
    answer = gym.service.client.post(
        "/v1/studies", json={**body, "reference": {"kind": "training", "training": made["id"]}}
    )
    assert answer.status_code == 422
    assert "theory" in answer.json()["errors"][0]["message"]


def test_published_twice_they_are_registered_once(gym: Gym) -> None:
    """Two workers did the work, as when one was frozen: the one that comes second changes nothing."""
    made = gym.ask().json()["id"]
    ledger = gym.service.app.state.accord.ledger
    claims = [ledger.claim(made, "wrk_a")]
    with gym.service.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == made).values(state="queued"))
    claims.append(ledger.claim(made, "wrk_b"))
    results = []
    for claim in claims:
        context = Context("cpu", for_work(gym.service.settings), lambda *_: None)
        results.append(train_pair(claim.row["payload"], context).result)
    assert [ledger.publish(claims[n], results[n]) for n in (1, 0, 1)] == [True, False, False]
    found = gym.service.client.get(f"{PATH}/{made}").json()["result"]
    with gym.service.database.read() as connection:
        rows = connection.execute(models.select()).mappings().all()
    assert {row["id"] for row in rows} == set(found["models"].values()) == set(results[1]["models"].values())
    assert {key: value for key, value in results[0].items() if key not in ("models", "figures")} == {
        key: value for key, value in results[1].items() if key not in ("models", "figures")
    }


def test_a_name_that_is_taken_does_not_keep_a_training_from_its_end(gym: Gym) -> None:
    made = gym.ask().json()["id"]
    taken = {"name": f"{made}/a", "source": {"type": "builtin", "id": "minilm-l6"}}
    assert gym.service.client.post("/v1/models", json=taken).status_code == 201
    gym.service.work_off()
    result = gym.service.client.get(f"{PATH}/{made}").json()["result"]
    assert gym.model(result["models"]["a"])["name"] == f"{made}/a ({result['models']['a']})"


def test_they_are_registered_anew_from_their_training_and_only_by_its_team(gym: Gym) -> None:
    found, open_one = gym.train(), gym.ask(seed=4).json()["id"]
    client = gym.service.client

    def register(training: str, name: str, headers: dict[str, str] | None = None) -> Any:
        source = {"type": "training", "id": training, "member": "b"}
        return client.post("/v1/models", json={"name": name, "source": source}, headers=headers)

    use = client.get("/v1/me").json()["use"]["stored_bytes"]
    again = register(found["id"], "again").json()
    assert client.get("/v1/me").json()["use"]["stored_bytes"] == use  # of the same files
    made = gym.model(found["result"]["models"]["b"])
    same = ("layers", "parameters", "fingerprint", "modality", "source")
    assert [again[name] for name in same] == [made[name] for name in same]
    refused = register(open_one, "early").json()["errors"][0]
    assert (refused["pointer"], "has not ended" in refused["message"]) == ("/source/id", True)
    mine, other = gym.key("default", "runner"), gym.key("other", "admin")
    messages = [register(training, "x", other).json()["errors"][0]["message"] for training in (found["id"], "trn_1")]
    assert messages[0].replace(found["id"], "trn_1") == messages[1]
    client.post(f"{PATH}/{open_one}/cancel", headers=mine)
    assert "was cancelled" in register(open_one, "late", mine).json()["errors"][0]["message"]


def test_whoever_asked_may_delete_them_and_another_runner_not(gym: Gym) -> None:
    mine, peer = gym.key("default", "runner"), gym.key("default", "runner")
    made = gym.ask(mine).json()["id"]
    gym.service.work_off()
    model = gym.service.client.get(f"{PATH}/{made}", headers=mine).json()["result"]["models"]["a"]
    assert gym.service.client.delete(f"/v1/models/{model}", headers=peer).status_code == 403
    assert gym.service.client.delete(f"/v1/models/{model}", headers=mine).status_code == 204


def age(gym: Gym, seconds: float) -> None:
    """Makes what trainings left, and the deletion of models, so much older."""
    moment = time.time() - seconds
    for path in (gym.service.settings.data_dir / FOLDER).rglob("*"):
        os.utime(path, (moment, moment))
    with gym.service.database.write() as connection:
        connection.execute(models.update().values(deleted_at=models.c.deleted_at - seconds))


def test_files_stay_while_a_model_or_a_job_needs_them_and_then_go(gym: Gym) -> None:
    found = gym.train()
    assert "unfinished.safetensors" in files(gym)
    settings, database, client = gym.service.settings, gym.service.database, gym.service.client
    assert clear(settings, database) == 1  # the state of what has ended
    whole = files(gym)
    assert {Path(name).name for name in whole} == {"config.json", "model.safetensors", "theory.npz", "probe.npz"}
    age(gym, 10 * 24 * 3600)
    assert clear(settings, database) == 0

    a, b = found["result"]["models"].values()
    before = client.get("/v1/me").json()["use"]["stored_bytes"]
    client.delete(f"/v1/models/{a}")
    assert client.get("/v1/me").json()["use"]["stored_bytes"] < before
    age(gym, 10 * 24 * 3600)
    assert clear(settings, database) == 0
    assert files(gym) == whole
    gym.probe("x", x=np.eye(40, 4))
    body = {"model_a": b, "model_b": b, "probe": "x", "metrics": ["cka"]}
    job = client.post("/v1/comparisons", json=body).json()["id"]
    client.delete(f"/v1/models/{b}")
    age(gym, 13 * 3600)
    source = {"type": "training", "id": found["id"], "member": "b"}
    gone = client.post("/v1/models", json={"name": "late", "source": source})
    assert (gone.status_code, "train them anew" in gone.text) == (422, True)
    assert client.get(f"{PATH}/{found['id']}/probe").status_code == 404
    age(gym, 10 * 24 * 3600)
    assert clear(settings, database) == 0  # for the comparison
    gym.service.work_off()
    assert client.get(f"/v1/comparisons/{job}").json()["status"] == "succeeded"
    assert clear(settings, database) == 1
    assert files(gym) == []
    assert list((settings.data_dir / FOLDER).iterdir()) == []


def test_a_training_is_not_forgotten_while_a_model_of_it_is_registered(gym: Gym) -> None:
    found = gym.train()
    database, client = gym.service.database, gym.service.client
    with database.write() as connection:
        connection.execute(jobs.update().values(finished_at=jobs.c.finished_at - 1000))
    a, b = found["result"]["models"].values()
    client.delete(f"/v1/models/{a}")
    assert forget(database, 100) == 0
    assert client.get(f"{PATH}/{found['id']}/probe").status_code == 200
    client.delete(f"/v1/models/{b}")
    assert forget(database, 100) == 1
    assert client.get(f"{PATH}/{found['id']}").status_code == 404


def test_what_a_training_under_way_has_kept_stays(gym: Gym) -> None:
    made = gym.ask().json()["id"]
    with gym.service.database.read() as connection:
        (place,) = [row["payload"]["place"] for row in connection.execute(jobs.select()).mappings()]
    folder = gym.service.settings.data_dir / FOLDER / place
    folder.mkdir(parents=True)
    (folder / "unfinished.safetensors").write_bytes(b"a state")
    assert clear(gym.service.settings, gym.service.database) == 0
    gym.service.client.post(f"{PATH}/{made}/cancel")
    assert clear(gym.service.settings, gym.service.database) == 1
    assert not folder.exists()


def test_workers_that_clear_at_once_do_not_trip_over_each_other(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing is gone in the moment that this one has seen it."""
    gym.train()
    gym.train(seed=4)
    root, listed = gym.service.settings.data_dir / FOLDER, Path.iterdir

    def raced(folder: Path) -> Any:
        found = list(listed(folder))
        if folder.parent == root:
            shutil.rmtree(folder)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", raced)
    assert clear(gym.service.settings, gym.service.database) == 0
    assert list(listed(root)) == []


def test_a_team_that_may_keep_nothing_more_trains_nothing(gym: Gym) -> None:
    gym.train()
    with gym.service.database.write() as connection:
        connection.execute(models.update().values(bytes=20480 << 20))
    answer = gym.ask(seed=9)
    assert (answer.status_code, "may keep" in answer.json()["detail"]) == (413, True)


def test_all_that_a_training_keeps_is_counted(gym: Gym) -> None:
    gym.train()
    clear(gym.service.settings, gym.service.database)  # the state, which nobody keeps
    root = gym.service.settings.data_dir / FOLDER
    kept = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert gym.service.client.get("/v1/me").json()["use"]["stored_bytes"] == kept


def test_what_trainings_under_way_may_keep_is_counted_before_one_more_is_queued(gym: Gym) -> None:
    state = gym.service.app.state.accord
    object.__setattr__(state, "settings", state.settings.model_copy(update={"max_stored_mib": 2}))
    answers = [gym.ask(seed=seed) for seed in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 413]
    gym.service.client.post(f"{PATH}/{answers[0].json()['id']}/cancel")
    assert gym.ask(seed=9).status_code == 202


def test_the_items_to_compare_on_are_no_more_than_tell_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignment.entropic.recipes.files.MOST_ITEMS", 7)
    arrays = np.load(io.BytesIO(probe_file(train(TrainingRequest(**{**TINY, "steps": 1})))))
    assert {name: len(arrays[name]) for name in arrays.files} == {"a": 7, "b": 7}


@pytest.mark.parametrize("recipe", ["linear", "mlp"])
def test_all_that_is_said_of_the_alignment_is_in_the_document(gym: Gym, recipe: str) -> None:
    alignment = gym.train(recipe=recipe, steps=1)["result"]["alignment"]
    assert set(alignment) <= set(PairAlignment.model_fields)
    assert PairAlignment.model_validate(alignment).measure == {"linear": "nka", "mlp": "cka"}[recipe]


@pytest.mark.parametrize("task", ["category", "masked"])
def test_towers_of_two_modalities_are_registered_and_compared_on_a_built_in_set(gym: Gym, task: str) -> None:
    found = gym.train(recipe="transformer", steps=1, task=task)
    assert found["error"] is None
    assert found["request"]["task"] == task
    assert (found["result"]["task"]["a"]["accuracy"] is None) == (task == "masked")
    a, b = (gym.model(found["result"]["models"][member]) for member in "ab")
    assert (a["modality"], b["modality"]) == ("image", "text")
    assert [layer["name"] for layer in a["layers"]] == found["result"]["alignment"]["layers_a"]
    assert found["result"]["probe"] == "builtin:emoji"
    assert set(found["result"]["alignment"]) <= set(PairAlignment.model_fields)
    answer = gym.service.client.get(f"{PATH}/{found['id']}/probe")
    assert (answer.status_code, "'builtin:emoji'" in answer.json()["detail"]) == (404, True)
    body = {"model_a": a["id"], "model_b": b["id"], "probe": "builtin:emoji", "metrics": ["cka"], "samples": 40}
    answer = gym.service.client.post("/v1/comparisons", json=body)
    gym.service.work_off()
    assert gym.service.client.get(answer.headers["Location"]).json()["error"] is None

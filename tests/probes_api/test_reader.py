"""Probe sets are read beside the API: with bounded memory, in turn, and anew when a preview is gone."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from alignment.errors import ProbeError
from app.jobs.executor import LocalExecutor, Order, Run
from app.probes import preview, reader
from app.probes.reader import PRELOAD, Reader
from app.probes.reading import Facts
from app.problems import Problem
from app.settings import Settings
from tests.service import Said, Service

DONE = {"done": {"modality": "text", "samples": 2, "sha256": "f", "reference": "r"}}
JSONL = b'{"text": "one"}\n{"text": "two"}\n'


class Told:
    """An executor that notes its orders and answers as it is told, while it may."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self.orders: list[Order] = []
        self.at_once = self.most = 0
        self.messages = messages or (DONE,)
        self.may = threading.Semaphore(0)
        self.lock = threading.Lock()

    def start(self, order: Order) -> Run:
        with self.lock:
            self.orders.append(order)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        return _Held(self)

    def warm(self) -> None:
        pass


class _Held(Said):
    def __init__(self, told: Told) -> None:
        super().__init__(*told.messages)
        self.told = told

    def poll(self, seconds: float) -> Mapping[str, Any] | None:
        return super().poll(seconds) if self.told.may.acquire(timeout=seconds) else None

    def kill(self) -> None:
        with self.told.lock:
            self.told.at_once -= 1


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, _env_file=None, **more)


def look(made: Reader, reference: Path, team: str = "t") -> Facts:
    return anyio.run(made.look, team, str(reference), reference.name, {})


def until(said: Callable[[], bool]) -> None:
    for _ in range(1000):
        if said():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to be")


@pytest.fixture(scope="module")
def processes() -> LocalExecutor:
    return LocalExecutor(PRELOAD)


def test_a_process_of_its_own_reads_a_set_and_keeps_its_preview(tmp_path: Path, processes: LocalExecutor) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(JSONL)
    facts = look(Reader(settings(tmp_path), processes), file)
    assert (facts.modality, facts.samples) == ("text", 2)
    kept = preview.kept(tmp_path, facts.sha256)
    assert kept is not None
    assert [item.text for item in kept.items] == ["one", "two"]


def test_what_takes_more_memory_than_it_may_is_refused(tmp_path: Path, processes: LocalExecutor) -> None:
    file = tmp_path / "large.npz"
    np.savez_compressed(file, x=np.zeros((1000, 64_000)))  # 512 MB; half a MB on disk
    with pytest.raises(ProbeError, match=r"'large.npz' takes more than 256 MiB .* ACCORD_MAX_READING_MIB"):
        look(Reader(settings(tmp_path, max_reading_mib=256), processes), file)


def test_an_error_of_the_set_comes_back_without_its_path(tmp_path: Path, processes: LocalExecutor) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(b'{"text": "one"}\n{"text":\n')
    with pytest.raises(ProbeError, match=r"'items.jsonl', line 2") as error:
        look(Reader(settings(tmp_path), processes), file)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(
    ("messages", "error", "says"),
    [
        ((), Problem, "died"),
        (({"error": {"kind": "outage", "detail": "the disk is full"}},), Problem, "disk is full"),
        (({"error": {"kind": "final", "detail": "row 3 is bad"}},), ProbeError, "row 3"),
        (({"error": {"kind": "final", "detail": "…"}, "trace": "T"},), reader.ReadingDefectError, "T"),
    ],
)
def test_each_end_of_a_process_is_an_answer(
    tmp_path: Path, messages: tuple[Any, ...], error: type[Exception], says: str
) -> None:
    told = Told()
    told.messages = messages
    told.may.release(5)
    with pytest.raises(error, match=says):
        look(Reader(settings(tmp_path), told), tmp_path / "x.csv")
    assert told.at_once == 0


def test_a_server_that_ends_and_a_set_that_takes_too_long_leave_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    made = Reader(settings(tmp_path), told)
    threading.Timer(0.3, made.close).start()
    with pytest.raises(Problem, match="ends"):
        look(made, tmp_path / "x.csv")
    monkeypatch.setattr(reader, "_SECONDS", 0.3)
    with pytest.raises(ProbeError, match="longer"):
        look(Reader(settings(tmp_path), told), tmp_path / "x.csv")
    assert told.at_once == 0


def test_a_team_waits_for_itself_and_others_do_not(tmp_path: Path) -> None:
    told = Told()
    made = Reader(settings(tmp_path), told)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for team in ("busy", "busy", "busy", "other"):
                group.start_soon(made.look, team, team, team, {})
            with anyio.fail_after(20):
                while len(told.orders) < 2:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            assert sorted(str(order.payload["name"]) for order in told.orders) == ["busy", "other"]
            told.may.release(20)

    anyio.run(all_at_once)
    assert (len(told.orders), told.most) == (4, 2)
    assert made._teams == {}


def test_a_preview_that_is_made_anew_waits_its_turn_and_the_api_answers_meanwhile(service: Service) -> None:
    client = service.client
    made = client.post("/v1/probes", files={"file": ("a.jsonl", JSONL)}, data={"name": "items"}).json()
    where = f"/v1/probes/{made['id']}/preview"
    shown = client.get(where).json()
    assert preview.forget(service.settings.data_dir, -1.0) == 1

    told = Told({"done": {"modality": "text", "samples": 2, "sha256": made["sha256"], "reference": "file"}})
    inline, service.app.state.reader = service.app.state.reader, Reader(service.settings, told)
    with ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(client.get, where) for _ in range(50)]  # more than there are threads for requests
        until(lambda: bool(told.orders))
        assert client.get("/v1/probes").status_code == 200
        assert (len(told.orders), told.at_once) == (1, 1)
        path = told.orders[0].payload["reference"]
        anyio.run(inline.look, "t", path, "items", {})
        told.may.release(100)
        assert [answer.result().json() for answer in asked] == [shown] * 50


def test_a_preview_of_other_items_is_not_shown(service: Service) -> None:
    made = service.client.post("/v1/probes", files={"file": ("a.jsonl", JSONL)}, data={"name": "items"}).json()
    assert preview.forget(service.settings.data_dir, -1.0) == 1
    upload = service.settings.data_dir / "uploads" / made["source"]["upload"] / "a.jsonl"
    upload.write_bytes(b'{"text": "another"}\n')
    assert service.client.get(f"/v1/probes/{made['id']}/preview").status_code == 409

"""What tests of several parts share: the command line in this process, and small files of activations."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import psutil
import pytest
import torch

if TYPE_CHECKING:
    from app.storage import Database
    from tests.service import Service

# Tests work on small tensors, where a second thread gains nothing and, on a busy machine, waits for its turn each time.
torch.set_num_threads(1)


class Answer(NamedTuple):
    """What one command line came to."""

    status: int
    out: str
    err: str


@pytest.fixture
def accord(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Answer]:
    """Returns a function that runs `accord …` in an empty folder, 80 columns wide, with no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ACCORD_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("ACCORD_BUDGET_MIB", raising=False)

    from app.cli.main import run  # here, so that tests of the science alone need nothing that the service needs

    def call(line: str) -> Answer:
        status = run(shlex.split(line))
        return Answer(status, *capsys.readouterr())

    return call


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Returns a function from a seed and a shape to standard normal float32 numbers."""

    def make(seed: int, items: int = 40, width: int = 6) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(items, width)).astype(np.float32)

    return make


@pytest.fixture(
    params=[
        "pretended",
        pytest.param(
            "real",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
            ],
        ),
    ]
)
def gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The device `cuda:0`: the one that is there, and one that is pretended wherever the tests run."""
    from tests.pretend import Pretend

    with Pretend() if request.param == "pretended" else nullcontext():
        yield torch.device("cuda", 0)


def pytest_xdist_auto_num_workers() -> int:
    """How many processes share the tests: one more than cores, as some wait, and no more than four.

    Each has 2 GiB at hand, for itself and what it starts.
    """
    return max(1, min(4, 1 + (psutil.cpu_count() or 1), psutil.virtual_memory().available >> 31))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses a database, so that it can be run again with another kind."""
    for item in items:
        if {"database", "database_url", "steady"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.database)


# Imported where they are used, so that tests of the science alone need nothing that the service needs.
@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """An empty database of the test's own: SQLite, or PostgreSQL where TEST_DATABASE_URL names a server."""
    from tests.databases import fresh_url

    with fresh_url(tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with all tables, for copies to be made of."""
    from tests.databases import template_url

    with template_url(tmp_path_factory.mktemp("template")) as url:
        yield url


@pytest.fixture
def database(tmp_path: Path, template: str) -> Iterator["Database"]:
    """A database of the test's own, with all tables and nothing in them."""
    from app.storage import Database
    from tests.databases import fresh_url

    with fresh_url(tmp_path, template) as url:
        made = Database(url)
        yield made
        made.close()


@pytest.fixture
def service(tmp_path: Path, database: "Database") -> Iterator["Service"]:
    """The service over an empty database; its client comes from loopback and, while no key exists, may do anything."""
    from tests.service import serve

    made = serve(tmp_path, database)
    with made.client:
        yield made


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory, template: str) -> Iterator["Service"]:
    """The same for all tests of a module, which saves each a database; for those that leave nothing behind."""
    from app.storage import Database
    from tests.databases import fresh_url
    from tests.service import serve

    folder = tmp_path_factory.mktemp("steady")
    with fresh_url(folder, template) as url:
        shared = Database(url)
        made = serve(folder, shared)
        with made.client:
            yield made
        shared.close()

"""Settings: everything that an environment variable or a `.env` file can set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from alignment.errors import RequestError

PREFIX = "ACCORD_"
Folder = Annotated[Path, AfterValidator(Path.expanduser)]  # a `.env` file knows no shell that would expand a `~`


def _paths(value: Any) -> Any:
    """Returns what a variable such as PATH spells, a folder between any two colons."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _names(value: Any) -> Any:
    """Returns what a list with commas spells."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """What an operator sets; each field is the variable `ACCORD_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    # Where things are
    data_dir: Folder = Field(
        default_factory=lambda: platformdirs.user_data_path("accord"),
        description="database, uploads and activations; shared by all API and worker processes",
    )
    database_url: SecretStr | None = Field(
        None, description="`postgresql://…` or `sqlite:///…`; unset is SQLite in the data folder"
    )
    database_url_file: Folder | None = Field(None, description="a file that holds the database URL (a mounted secret)")
    database_password_file: Folder | None = Field(
        None, description="a file that holds the password that the database URL leaves out (a mounted secret)"
    )
    cache_dir: Folder = Field(
        default_factory=lambda: platformdirs.user_cache_path("accord"),
        description="where downloads of the hub and converted weights are kept between runs; of models without a limit",
    )
    model_roots: Annotated[list[Folder], NoDecode, BeforeValidator(_paths)] = Field(
        default_factory=list, description="folders, with colons between, beneath which `local` models may lie"
    )

    # Serving
    host: str = Field("127.0.0.1", description="the address that the API binds; another than loopback needs a key")
    port: int = Field(8321, ge=0, le=65535, description="the port that the API binds; 0 takes a free one")
    bootstrap_key_file: Folder | None = Field(
        None, description="a file with an admin key for the team `default`, made at start if it is not there yet"
    )
    max_body_mib: int = Field(4, ge=1, description="MiB that a JSON request may have")
    max_upload_mib: int = Field(2048, ge=1, description="MiB that an uploaded file may have")
    max_reading_mib: int = Field(
        4096,
        ge=256,
        description="MiB of memory that reading a probe set may take; two are read at once, beside the API",
    )
    max_samples: int = Field(100_000, ge=2, description="items that a request may ask for")
    max_layers: int = Field(256, ge=1, description="layers of a side that a request may name")
    max_metrics: int = Field(32, ge=1, description="metrics that a request may ask for")
    max_steps: int = Field(1_000_000, ge=1, description="steps that a training may ask for")
    max_queued: int = Field(2000, ge=1, description="comparisons, studies and trainings that a team may have waiting")
    max_running: int = Field(
        8,
        ge=1,
        description="parts of jobs that a team may have running at once in each queue: so many models that run "
        "(`extract`) and so many scorings (`score`), of those that ask for a GPU as many again",
    )
    max_stored_mib: int = Field(
        20480,
        ge=1,
        description="MiB of uploads and of trained models that a team may keep; what comes of a hub is no team's",
    )
    rate_limit: str = Field(
        "6000/minute", description="requests that a key may make of each API process, as COUNT/PERIOD"
    )
    max_streams: int = Field(100, ge=1, description="streams of events that a key may have open at an API process")
    allow_private_webhooks: bool = Field(
        False, description="whether a webhook may go to a private, loopback or link-local address"
    )

    # Asking a service (`accord submit`, `watch`, `schedule`)
    url: str = Field("http://127.0.0.1:8321", description="the address of the service that the command line asks")
    key: SecretStr | None = Field(None, description="the key that the command line asks it with")

    # Working
    executor: Literal["local"] = Field("local", description="what runs a job: `local`, a child process of the worker")
    devices: Annotated[list[str], NoDecode, BeforeValidator(_names)] = Field(
        default_factory=lambda: ["auto"],
        description="devices of a worker, with commas between; each runs one part of a job at a time; `auto` is every "
        "GPU of the machine, or the CPU; not both in one worker",
    )
    queues: Annotated[list[Literal["extract", "score"]], NoDecode, BeforeValidator(_names)] = Field(
        ["extract", "score"],
        description="what a worker does, with commas between: `extract` runs models, `score` compares activations",
    )
    threads: int = Field(0, ge=0, description="CPU threads of a part of a job; 0 leaves it to torch")
    budget_mib: int = Field(1024, ge=1, description="MiB that one view of a model's layers may keep on the device")
    lease_seconds: float = Field(6.0, ge=2, description="seconds without a heartbeat after which a worker is dead")
    grace_seconds: float = Field(10.0, ge=0, description="seconds that a stopping worker gives its jobs to finish")
    job_seconds: float = Field(6 * 3600.0, gt=0, description="seconds that one part of a job may run")
    max_attempts: int = Field(3, ge=1, description="how often a part of a job is tried when what failed may pass")
    max_losses: int = Field(8, ge=1, description="how many workers may die under a job before it is given up")
    retry_seconds: float = Field(2.0, gt=0, description="seconds before the first retry; each further one waits double")
    outage_seconds: float = Field(
        600.0, gt=0, description="seconds that a job waits for what is away: the model hub, room on the disk"
    )
    hub_endpoint: str | None = Field(None, description="the address of a mirror of the Hugging Face hub")

    # Operation
    retention_days: float = Field(
        90.0, gt=0, description="days that finished jobs, their results and webhook deliveries are kept"
    )
    history_days: float = Field(365.0, gt=0, description="days that a schedule's runs and their scores are kept")
    audit_days: float = Field(730.0, gt=0, description="days that the audit is kept")
    store_mib: int = Field(
        51200, ge=1, description="MiB of activations that are kept; the least recently used go first"
    )
    datasets_mib: int = Field(
        20480,
        ge=1,
        description="MiB of data sets of the hub that a cache folder keeps, for all teams; the least recently used go "
        "first, none within an hour of its use, and one that is needed again is downloaded again",
    )
    log_format: Literal["json", "console"] = Field("json", description="how logs are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least severe log line")

    @property
    def database(self) -> str:
        """The database's URL, in SQLAlchemy's form.

        Raises:
            RequestError: if the file that should hold it cannot be read, or it is of another database.
        """
        url = self.database_url.get_secret_value() if self.database_url else ""
        if not url and self.database_url_file:
            url = read_secret(self.database_url_file, "ACCORD_DATABASE_URL_FILE")
        if not url:
            return f"sqlite:///{self.data_dir.absolute() / 'accord.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if url.startswith(prefix):
                url = "postgresql+psycopg://" + url.removeprefix(prefix)
        if url.startswith("postgresql+psycopg://"):
            return self._with_password(url)
        if url.startswith("sqlite:///"):
            return url
        raise RequestError("ACCORD_DATABASE_URL must begin with postgresql:// or sqlite:///")

    def _with_password(self, url: str) -> str:
        if self.database_password_file is None:
            return url
        from sqlalchemy.engine import make_url  # here: most commands need no database

        password = read_secret(self.database_password_file, "ACCORD_DATABASE_PASSWORD_FILE")
        return make_url(url).set(password=password).render_as_string(hide_password=False)

    @classmethod
    def load(cls) -> Settings:
        """Returns the settings of this process.

        Raises:
            RequestError: if a variable has a value that it cannot have, or the `.env` file cannot be read.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = variable(str(first["loc"][0]))
            raise RequestError(
                f"{name} is {first['input']!r} ({first['msg'].lower()}); set it to another value or unset it"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"the file .env cannot be read ({error}); correct it or remove it") from error


def read_secret(path: Path, name: str) -> str:
    """Returns what a mounted secret holds, without the line break at its end.

    Raises:
        RequestError: if it cannot be read.
    """
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{name} names a file that cannot be read; check that it is mounted") from error


def variable(field: str) -> str:
    """Returns the environment variable that sets a field.

    >>> variable("cache_dir")
    'ACCORD_CACHE_DIR'
    """
    return PREFIX + field.upper()

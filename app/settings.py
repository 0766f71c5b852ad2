"""Settings: everything that an environment variable or a `.env` file can set."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator sets; each field is the variable `ACCORD_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="ACCORD_", env_file=".env", extra="ignore", frozen=True)

    cache_dir: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("accord"),
        description="where converted weights are kept between runs",
    )
    budget_mib: int = Field(1024, ge=1, description="MiB that one view of a model's layers may keep on the device")

"""Settings: everything that an environment variable or a `.env` file can set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from alignment.errors import RequestError

PREFIX = "ACCORD_"


class Settings(BaseSettings):
    """What an operator sets; each field is the variable `ACCORD_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    # A `.env` file knows no shell that would expand a `~`.
    cache_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default_factory=lambda: platformdirs.user_cache_path("accord"),
        description="where converted weights are kept between runs",
    )
    budget_mib: int = Field(1024, ge=1, description="MiB that one view of a model's layers may keep on the device")

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


def variable(field: str) -> str:
    """Returns the environment variable that sets a field.

    >>> variable("cache_dir")
    'ACCORD_CACHE_DIR'
    """
    return PREFIX + field.upper()

"""Hub: where the command line has models and data sets from."""

from __future__ import annotations

from typing import Any

from app.settings import Settings


def hubs(settings: Settings) -> dict[str, Any]:
    """Returns `hub` and `datasets`, as those take them that measure here."""
    from alignment.hub import HuggingFaceDatasets
    from alignment.models import HuggingFaceHub

    return {
        "hub": HuggingFaceHub(settings.hub_endpoint),
        "datasets": HuggingFaceDatasets(settings.hub_endpoint, settings.cache_dir / "datasets"),
    }

"""Quiet: a stretch of code in which the model libraries write no chatter to stderr."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The libraries' levels belong to the process: two threads that load at once must not restore each other's.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the warnings and progress bars of transformers and huggingface_hub, then restores them.

    What those warnings say of missing weights is read from the loading report and raised as a `ModelError` instead.
    """
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as hf_logging

    with _ONE_AT_A_TIME:
        level, bars, hub_bars = (
            hf_logging.get_verbosity(),
            hf_logging.is_progress_bar_enabled(),
            not are_progress_bars_disabled(),
        )
        hub_level = hub_logging.get_verbosity()
        hf_logging.set_verbosity_error()
        hub_logging.set_verbosity(logging.ERROR)
        hf_logging.disable_progress_bar()  # which disables the hub's as well
        try:
            yield
        finally:
            hf_logging.set_verbosity(level)
            hub_logging.set_verbosity(hub_level)
            if bars:
                hf_logging.enable_progress_bar()
            if bars and not hub_bars:
                disable_progress_bars()

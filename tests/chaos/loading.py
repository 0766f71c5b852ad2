"""A library that takes its time: its import lasts until the file that LOADED names is there, two minutes at most."""

import os
import time
from pathlib import Path

_deadline = time.monotonic() + 120
while "LOADED" in os.environ and not Path(os.environ["LOADED"]).exists() and time.monotonic() < _deadline:
    time.sleep(0.05)

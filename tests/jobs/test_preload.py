"""The process that jobs' own are forked from never opens a GPU's driver: after that none of them could."""

import subprocess
import sys

from app.jobs.executor import PRELOAD

ASK = """
import importlib, torch
asked = []
for name in ("is_available", "device_count", "current_device", "init", "_lazy_init", "get_device_properties"):
    def tell(*given, name=name, answer=getattr(torch.cuda, name), **more):
        asked.append(name)
        return answer(*given, **more)
    setattr(torch.cuda, name, tell)
for module in {modules!r}:
    importlib.import_module(module)
early = list(asked)
torch.cuda.is_available()
print(early, len(asked) > len(early))
"""


def test_nothing_that_is_loaded_beforehand_asks_cuda_anything() -> None:
    code = ASK.format(modules=PRELOAD)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[-2] == "[] True"

"""Theory: the kernel that the theory gives for a trained linear network, as a file beside the network."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from alignment.errors import TrainingError

FILE = "theory.npz"
_NAME = "form"


def theory_file(form: Float[Tensor, "d d"]) -> bytes:
    """Returns the contents of a file that `read_theory` reads."""
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **{_NAME: form.double().numpy()})
    return out.getvalue()


def read_theory(path: Path) -> Float[Tensor, "d d"]:
    """Returns P: the theory has every hidden layer's kernel be a multiple of x₁ᵀ P x₂, x the network's input.

    Args:
        path: the file, or the folder of a network that `accord train --recipe linear` left.

    Raises:
        TrainingError: if it holds none.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise TrainingError(
            f"{path} has no {FILE}, the kernel of the theory; give a folder of `accord train --recipe linear`"
        )
    if not zipfile.is_zipfile(file):  # numpy would take anything else for a pickle
        raise TrainingError(f"{file} is not a kernel of the theory; train the pair anew")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            form = arrays[_NAME]
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise TrainingError(f"{file} is not a kernel of the theory ({error}); train the pair anew") from error
    if form.ndim != 2 or form.shape[0] != form.shape[1] or form.dtype != np.float64 or not np.isfinite(form).all():
        raise TrainingError(f"{file}: 'form' is {form.dtype} {list(form.shape)}; train the pair anew")
    return torch.from_numpy((form + form.T) / 2)

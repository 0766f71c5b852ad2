"""How far float32 products of two rows are off, in the unit that `views.neighbours` allows for them.

    .venv/bin/python -m tests.benchmarks.rounding

The unit is eps * sqrt(width) * |x| * |y|. Printed for each layer of the built-in models on their probe sets.
"""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from alignment.comparison import Extraction, extract_model
from alignment.preprocessing import Preprocessing, prepare

MODELS = (
    ("builtin:minilm-l6", "builtin:language-reference"),
    ("builtin:minilm-l3", "builtin:language-reference"),
    ("builtin:efficientnet-lite0", "builtin:emoji"),
    ("builtin:efficientnet-lite1", "builtin:emoji"),
)


def main() -> None:
    table = Table(title="largest error of a float32 product, in eps * sqrt(width) * |x| * |y|", title_justify="left")
    for head in ("model", "preprocessing", "largest over layers"):
        table.add_column(head)
    for model, probe in MODELS:
        activations = extract_model(Extraction(model, probe, samples=1000))
        for steps in (Preprocessing(), Preprocessing(clip=None, normalize=False)):
            worst = 0.0
            for values in activations.values:
                layer = prepare(values, steps)
                features, exact = layer.features(), layer.rows(slice(None))
                lengths = torch.linalg.vector_norm(exact, dim=1)
                unit = torch.finfo(torch.float32).eps * exact.shape[1] ** 0.5 * torch.outer(lengths, lengths)
                error = ((features @ features.T).double() - exact @ exact.T).abs() / unit
                worst = max(worst, float(error.max()))
            table.add_row(model, "clip, normalize" if steps.normalize else "none", f"{worst:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

"""Views: each layer prepared once, so that a metric is one cheap pairing of two stacks of views.

A rotation-invariant comparison sees nothing of activations `X` but `X Xᵀ`: who is near whom (neighbours, from the
uncentred products) and how near (the centred Gram matrix, the dissimilarities, or
factors of the Gram matrix where a metric needs its root). Bases, of standardised columns, are for the metrics that are
not rotation-invariant.
"""

from alignment.views.bases import Basis, Factors
from alignment.views.copies import copies
from alignment.views.dissimilarities import Dissimilarities
from alignment.views.edges import EdgeFinder, Edges
from alignment.views.grams import CentredGrams, Kernel
from alignment.views.health import Finding, faults, oddities
from alignment.views.neighbours import nearest_neighbours
from alignment.views.stack import Views
from alignment.views.summary import Summary, summarise
from alignment.views.triangles import Triangles
from alignment.views.unlike import Contrast

__all__ = [
    "Basis",
    "CentredGrams",
    "Contrast",
    "Dissimilarities",
    "EdgeFinder",
    "Edges",
    "Factors",
    "Finding",
    "Kernel",
    "Summary",
    "Triangles",
    "Views",
    "copies",
    "faults",
    "nearest_neighbours",
    "oddities",
    "summarise",
]

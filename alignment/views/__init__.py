"""Views: each layer prepared once, so that a metric is one cheap pairing of two stacks of views.

A rotation-invariant comparison sees nothing of activations `X` but `X Xᵀ`: who is near whom (neighbours, from the
uncentred products) and how near (the centred Gram matrix).
"""

from alignment.views.edges import EdgeFinder, Edges
from alignment.views.grams import CentredGrams, Kernel
from alignment.views.health import Finding, fault, oddities
from alignment.views.neighbours import nearest_neighbours
from alignment.views.stack import SPARE, Views

__all__ = [
    "SPARE",
    "CentredGrams",
    "EdgeFinder",
    "Edges",
    "Finding",
    "Kernel",
    "Views",
    "fault",
    "nearest_neighbours",
    "oddities",
]

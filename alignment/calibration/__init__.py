"""Calibration: how a score stands against chance, and how sure it is."""

from alignment.calibration.chance import ALPHA, Chance, against_chance, few_permutations, maximum, null_scores
from alignment.calibration.interval import best_interval
from alignment.calibration.pearson import pearson_p
from alignment.calibration.settings import Calibration, Progress

__all__ = [
    "ALPHA",
    "Calibration",
    "Chance",
    "Progress",
    "against_chance",
    "best_interval",
    "few_permutations",
    "maximum",
    "null_scores",
    "pearson_p",
]

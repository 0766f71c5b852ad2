"""Figures: what the work of a training tells its end, beside the result."""

TRAINED = "trained"  # what is registered of each model when the training ends
FOLDER = "trainings"  # beneath the data folder: where trainings leave their files

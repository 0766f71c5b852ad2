"""Entropic training: the effective loss of stochastic gradient descent, its balance laws, and models that align."""

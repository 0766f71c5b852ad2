"""Pretrained models: a task of their own that needs no labels, on which their gradients can be taken."""

"""Measures how alike two neural networks represent the same items."""

"""Scoring: what comparisons and studies share: how activations are compared, and the extractions that they wait for."""

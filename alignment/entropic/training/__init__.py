"""Training: two networks, step by step, resumable to the bit."""

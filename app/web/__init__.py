"""Web: what a browser shows."""

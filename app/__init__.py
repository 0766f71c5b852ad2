"""Accord for its users: the command line. No mathematics lives here."""

"""Faults: indexing that is killed or interrupted in the middle, and what must be left of it."""

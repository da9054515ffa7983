"""Trains the built-in image-text model; a developer's program, never imported by the commands."""

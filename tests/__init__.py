"""Tests of photoclip, from the user's side where that is possible."""

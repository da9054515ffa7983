"""Benchmarks: programs that measure, on the machine they run on, what the constants of photoclip claim."""

"""The thirty faults photoclip withstands: each does some harm and judges what came of it.

They run in a short form with the tests, and in full by ``python -m tests.faults --long``.
"""

"""The command line: the only place for Typer and rich. Data goes to stdout, talk to stderr."""

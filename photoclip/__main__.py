"""``python -m photoclip`` and the ``photoclip`` command."""

from __future__ import annotations

import sys

from photoclip.errors import INTERRUPTED


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from photoclip.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # even in the middle of an import
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()

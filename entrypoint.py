"""Run the migrator once and exit with what it says: the container's entry point."""

import signal
import sys


def _ended(signum: int, frame: object) -> None:
    """End while nothing has begun: process 1 has no default action for signals."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGINT, _ended)
    from migrator.cli import main

    sys.exit(main())

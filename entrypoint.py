"""Run the migrator once and exit with what it says: the container's entry point."""

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress


def _ended(signum: int, frame: object) -> None:
    """End while nothing has begun: process 1 has no default action for signals."""
    sys.exit(128 + signum)


def _leave(verdict: list[int]) -> None:
    """
    End with the verdict, without tearing the interpreter down.

    That takes a tenth of a short run's time and frees what the kernel frees anyway;
    mypy leaves so, too (`mypy/util.py`: hard_exit). Registered before all else, this
    runs last: threads have ended, and what others want done at exit is done. What
    nobody reads is lost, and does not change the code.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    for code in verdict:
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1:] == ["healthcheck"]:
        # as the command does it, in a tenth of its time and a quarter of its memory: it
        # runs every few seconds, within the limits of the run beside it
        from migrator.process.linger import lingers

        sys.exit(0 if lingers() else 3)
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGINT, _ended)
    # until main can tell that it was stopped
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    verdict: list[int] = []
    atexit.register(_leave, verdict)
    gc.disable()  # modules stay: looking for garbage among them is in vain
    from migrator.cli import main

    gc.freeze()
    gc.enable()
    verdict.append(main())
    sys.exit(verdict[0])

"""
Run one process and print what it took, as JSON; standard input says which, as JSON too.

A script of its own with few imports: Linux counts the memory of the process that forks
as the child's until the child's program begins, so what is measured is never less
than what this script itself has.
"""

import json
import os
import sys
import time


def _child(command: dict[str, object]) -> None:
    """Become the program; never returns."""
    outside = os.open(str(command["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(outside, 1)
    os.dup2(outside, 2)
    if command["root"]:
        os.chroot(str(command["root"]))
        os.setgroups([])
        os.setgid(65532)  # the image's own user
        os.setuid(65532)
    os.chdir("/")
    argv, environ = command["argv"], command["environ"]
    assert isinstance(argv, list)
    assert isinstance(environ, dict)
    os.execve(argv[0], argv, environ)


def main() -> None:
    """Measure one run."""
    command = json.load(sys.stdin)
    start = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            _child(command)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    taken = {
        "wall_s": time.perf_counter() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(taken))  # noqa: T201


if __name__ == "__main__":
    main()

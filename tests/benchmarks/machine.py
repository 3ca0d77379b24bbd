"""Where and when a benchmark ran."""

import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.bench import Bench


def described(bench: Bench) -> str:
    """Return a Markdown list of all that the figures depend on."""
    programs = (f"{each.name} {each.version}" for each in bench.programs)
    lines = (
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"machine: {_processor()}, {os.cpu_count()} cores, {_kernel()}",
        f"server: PostgreSQL {bench.server.version()} on {_filesystem(bench.folder)}",
        f"programs: {'; '.join(programs)}",
        f"command: python -m tests.benchmarks {shlex.join(sys.argv[1:])}".strip(),
    )
    return "\n".join(f"- {line}" for line in lines)


def _kernel() -> str:
    return f"{platform.system()} {platform.release()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _filesystem(folder: Path) -> str:
    """The kind of file system: on one in memory a commit costs nothing."""
    mounts = Path("/proc/self/mounts")
    lines = mounts.read_text().splitlines() if mounts.exists() else []
    kinds = {line.split()[1]: line.split()[2] for line in lines}
    places = (str(place) for place in (folder, *folder.parents))
    return next((kinds[place] for place in places if place in kinds), "a disk")

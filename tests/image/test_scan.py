"""The scan of the image: a finding fails, and what was not scanned is no success."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.image.conftest import Content
from tests.image.engine import docker
from tests.image.scan import Report, audited, debian, python


FOUND = {"id": "PYSEC-2020-1", "fix_versions": ["2.0"]}


def report(*packages: Mapping[str, object]) -> str:
    """What pip-audit writes."""
    return json.dumps({"dependencies": packages, "fixes": []})


def test_every_debian_package_is_compared(image: str, content: Content) -> None:
    """Those that the image has records of; whether Debian has a fix is CI's to judge."""
    records = [path for path in content if path.startswith("var/lib/dpkg/status.d/")]

    found = debian(image)

    assert (found.scanned, found.not_scanned) == (len(records), "")


def test_an_old_debian_package_is_a_finding(
    image: str, label: str, tmp_path: Path
) -> None:
    """It is named with both versions."""
    (tmp_path / "tzdata").write_text("Package: tzdata\nVersion: 2020a-1\n")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {image}\nCOPY tzdata /var/lib/dpkg/status.d/\n"
    )
    tag = f"{image}-old"
    docker("build", "--quiet", f"--tag={tag}", f"--label={label}", str(tmp_path))

    found = [one for one in debian(tag).findings if one.startswith("tzdata")]

    assert [one.partition(" has ")[0] for one in found] == ["tzdata 2020a-1: Debian"]


def test_a_vulnerable_python_package_is_a_finding() -> None:
    """With the version that has the fix, where there is one."""
    text = report(
        {"name": "a", "version": "1.0", "vulns": [FOUND]},
        {"name": "b", "version": "1.0", "vulns": [FOUND | {"fix_versions": []}]},
        {"name": "c", "version": "1.0", "vulns": []},
    )

    assert audited(text) == Report(
        scanned=3,
        findings=(
            "a 1.0: PYSEC-2020-1, fixed in 2.0",
            "b 1.0: PYSEC-2020-1, fixed in no version yet",
        ),
    )


def test_what_was_not_scanned_is_said() -> None:
    """pip-audit's exit code is 0 then, and its summary says that all is well."""
    skipped = {"name": "a", "skip_reason": "not found"}
    scanned = {"name": "b", "version": "1.0", "vulns": []}
    lines = [
        audited(text).line("Python")
        for text in (
            "",
            report(skipped),
            report(skipped, scanned),
            report(scanned),
        )
    ]

    assert lines == [
        "scan: Python: not scanned: no vulnerability database is reachable",
        "scan: Python: not scanned: no vulnerability database is reachable",
        "scan: Python: 1 packages, no finding; not scanned: a",
        "scan: Python: 1 packages, no finding",
    ]


def test_an_old_python_package_is_a_finding_or_not_scanned(tmp_path: Path) -> None:
    """Whether the database is reachable or not, it is never a package in order."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("jinja2==2.4.1\n")

    found = python(lock)

    assert bool(found.findings) is bool(found.scanned)
    assert bool(found.not_scanned) is not bool(found.scanned)

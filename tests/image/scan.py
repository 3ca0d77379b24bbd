"""
Known vulnerabilities in the image, from what the package registries say.

`python -m tests.image.scan IMAGE` prints one line for Debian's packages and one for
Python's, and each finding below its line; it exits with 1 when there is a finding.

- Debian: a package is a finding when Debian's archive for the release has a newer
  version. That is how Debian publishes a fix, so this needs no other database.
- Python: pip-audit asks PyPI's own database. It exits with 0 when it could not ask,
  so its report is read here, and what was not scanned is printed as that.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.image.engine import ROOT, call, docker


BASE = "debian:trixie-slim"
READ_RECORDS = """\
import json, pathlib
found = {}
for path in pathlib.Path("/var/lib/dpkg/status.d").iterdir():
    fields = dict(
        line.split(": ", 1) for line in path.read_text().splitlines() if ": " in line
    )
    found[fields["Package"]] = fields["Version"]
print(json.dumps(found))
"""
COMPARE = """\
apt-get -qq -o APT::Update::Error-Mode=any update >&2 || exit 100
for each; do
    newest=$(apt-cache policy "${each%%=*}" | sed -n 's/^  Candidate: //p')
    if dpkg --compare-versions "${each#*=}" lt "$newest"; then
        echo "${each%%=*} ${each#*=}: Debian has $newest"
    fi
done
"""


class Report(NamedTuple):
    """What became of one kind of packages."""

    scanned: int
    findings: tuple[str, ...] = ()
    not_scanned: str = ""
    """Why packages were left out; empty when none was."""

    def line(self, kind: str) -> str:
        """Return it for a person; "no known vulnerability" only where all were asked."""
        if self.not_scanned and not self.scanned:
            return f"scan: {kind}: not scanned: {self.not_scanned}"
        found = f"{len(self.findings)} findings" if self.findings else "no finding"
        rest = f"; not scanned: {self.not_scanned}" if self.not_scanned else ""
        return f"scan: {kind}: {self.scanned} packages, {found}{rest}"


def debian(image: str) -> Report:
    """Compare the image's Debian packages with the archive of their release."""
    command = ("run", "--rm", "--network=none", "--entrypoint=/usr/bin/python3")
    records: Mapping[str, str] = json.loads(docker(*command, image, "-c", READ_RECORDS))
    pairs = [f"{name}={version}" for name, version in sorted(records.items())]
    done = call("docker", "run", "--rm", BASE, "sh", "-c", COMPARE, "sh", *pairs)
    if done.returncode:
        return Report(0, not_scanned="Debian's archive is not reachable")
    return Report(len(pairs), tuple(done.stdout.splitlines()))


def python(requirements: Path) -> Report:
    """Ask PyPI's database for what a lock file names."""
    with TemporaryDirectory() as made:
        program = Path(made) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        lock = ROOT / "requirements-scan.lock"
        pip = (program, "-m", "pip", "install", "--quiet", "--require-hashes")
        subprocess.run([*pip, "--requirement", lock], check=True)
        done = call(
            *(str(program), "-m", "pip_audit", "--format=json"),
            *("--no-deps", "--disable-pip", "--progress-spinner=off"),
            f"--requirement={requirements}",
        )
    return audited(done.stdout)


def audited(text: str) -> Report:
    """Return what pip-audit's report says; it writes none when it cannot ask at all."""
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except ValueError:
        return Report(0, not_scanned="no vulnerability database is reachable")
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    findings = tuple(
        f"{one['name']} {one['version']}: {each['id']},"
        f" fixed in {', '.join(each['fix_versions']) or 'no version yet'}"
        for one in packages
        for each in one.get("vulns", ())
    )
    scanned = len(packages) - len(skipped)
    if not scanned:
        return Report(0, not_scanned="no vulnerability database is reachable")
    return Report(scanned, findings, ", ".join(skipped))


def main(image: str) -> int:
    """Print all of it; 1 when there is a finding."""
    reports = {
        "Debian": debian(image),
        "Python": python(ROOT / "requirements.lock"),
    }
    for kind, report in reports.items():
        sys.stdout.write("\n".join((report.line(kind), *report.findings)) + "\n")
    return int(any(report.findings for report in reports.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

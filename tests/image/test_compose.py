"""compose.yaml, started as users start it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.image.conftest import Write
from tests.image.engine import ROOT, call, compose, docker, engine_answers


BROKEN = {
    "00001_product.sql": "-- +goose Up\ncreate table product (id int);\n",
    "00002_broken.sql": "-- +goose Up\nselect 1 / 0;\n",
}


@dataclass(frozen=True)
class Project:
    """The services of compose.yaml under a name of their own."""

    name: str
    directory: Path

    def compose(self, *args: str, migrations: Path | None = None) -> int:
        """Run a compose command; its exit code."""
        command = compose()
        assert command is not None
        override = self.directory / "override.json"
        volumes = [] if migrations is None else [f"{migrations}:/migrations:ro"]
        override.write_text(json.dumps({"services": {"migrate": {"volumes": volumes}}}))
        files = ("-f", str(ROOT / "compose.yaml"), "-f", str(override))
        return call(*command, "-p", self.name, *files, *args).returncode

    def state(self, service: str) -> tuple[str, int] | None:
        """Status and exit code of a service's container, if there is one."""
        container = self._container(service)
        if not container:
            return None
        status, code = docker(
            "inspect", "--format={{.State.Status}} {{.State.ExitCode}}", container
        ).split()
        return status, int(code)

    def log(self, service: str, until: str) -> str:
        """What a service has printed, once a certain text is among it."""
        end = time.monotonic() + 30
        while until not in (text := docker("logs", self._container(service))):
            assert time.monotonic() < end, text
            time.sleep(0.2)
        return text

    def _container(self, service: str) -> str:
        filters = {"project": self.name, "service": service}
        labels = [
            f"--filter=label=com.docker.compose.{name}={value}"
            for name, value in filters.items()
        ]
        return docker("ps", "--all", "--quiet", *labels)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project that is gone after the test."""
    if not engine_answers() or compose() is None:
        pytest.skip(
            "no container engine or no compose; tests/image/machine installs them"
        )
    value = Project(f"migrator{uuid4().hex[:12]}", tmp_path)
    yield value
    value.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


def test_the_application_starts_on_a_whole_schema(project: Project) -> None:
    """The migrations come to their end first; again, they have nothing to do."""
    code = project.compose("up", "--build", "--detach")
    again = project.compose("up", "--detach")

    assert (code, again) == (0, 0)
    assert project.state("migrate") == ("exited", 0)
    assert "EUR" in project.log("app", until="rows)")
    assert project.state("app") == ("running", 0)


def test_the_application_never_starts_on_a_broken_schema(
    project: Project, write: Write
) -> None:
    """A migration that fails ends the start, with the code for a failed statement."""
    code = project.compose("up", "--build", "--detach", migrations=write(BROKEN))

    assert code != 0
    assert project.state("migrate") == ("exited", 13)
    assert project.state("app") in {None, ("created", 0)}

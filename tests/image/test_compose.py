"""compose.yaml and k8s/compose/linger.yaml, started as users start them."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.image.conftest import Write
from tests.image.engine import ROOT, call, compose, docker, engine_answers, waits


BROKEN = {
    "00001_product.sql": "-- +goose Up\ncreate table product (id int);\n",
    "00002_broken.sql": "-- +goose Up\nselect 1 / 0;\n",
}


@dataclass(frozen=True)
class Project:
    """The services of a compose file under a name of their own."""

    name: str
    directory: Path
    file: str = "compose.yaml"
    more: Any = None
    """What a second file says, laid over the first."""

    def compose(self, *args: str, migrations: Path | None = None) -> int:
        """Run a compose command; its exit code."""
        command = compose()
        assert command is not None
        override = self.directory / "override.json"
        override.write_text(json.dumps(self._override(migrations)))
        files = ("-f", str(ROOT / self.file), "-f", str(override))
        return call(*command, "-p", self.name, *files, *args).returncode

    def _override(self, migrations: Path | None) -> dict[str, Any]:
        if self.file == "compose.yaml":
            volumes = [] if migrations is None else [f"{migrations}:/migrations:ro"]
            return {"services": {"migrate": {"volumes": volumes}}}
        build = {} if migrations is None else {"build": {"context": str(migrations)}}
        # enough for the run that lingers and the health check beside it
        migrate = {"mem_limit": "64m", **build}
        return {"services": {"migrate": migrate}, **self.more}

    def state(self, service: str) -> tuple[str, int] | None:
        """Status and exit code of a service's container, if there is one."""
        container = self._container(service)
        if not container:
            return None
        status, code = docker(
            "inspect", "--format={{.State.Status}} {{.State.ExitCode}}", container
        ).split()
        return status, int(code)

    def health(self, service: str) -> str:
        """What a service's health check has found."""
        container = self._container(service)
        return docker("inspect", "--format={{.State.Health.Status}}", container)

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


@pytest.fixture
def lingering(
    tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """The project that waits, with secrets as files; gone after the test."""
    if not waits():
        pytest.skip("compose cannot wait; tests/image/machine installs one that can")
    monkeypatch.setenv("MIGRATOR_IMAGE", image)
    # an inline Dockerfile is for BuildKit, which Compose brings along
    monkeypatch.delenv("DOCKER_BUILDKIT", raising=False)
    secrets = {
        "password": "for-development-only",
        "migrator_database_url": "postgresql://postgres:for-development-only@db/shop",
    }
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o444)
    files = {"secrets": {name: {"file": str(tmp_path / name)} for name in secrets}}
    name = f"migrator{uuid4().hex[:12]}"
    value = Project(name, tmp_path, "k8s/compose/linger.yaml", files)
    yield value
    value.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


def test_the_application_starts_on_a_whole_schema(project: Project) -> None:
    """The migrations come to their end first; again, they have nothing to do."""
    code = project.compose("up", "--build", "--detach")
    again = project.compose("up", "--detach")
    alone = project.compose("run", "--rm", "migrate", "status", "--check")

    assert (code, again, alone) == (0, 0, 0)
    assert project.state("migrate") == ("exited", 0)
    assert "EUR" in project.log("app", until="rows)")
    assert project.state("app") == ("running", 0)


def test_the_application_never_starts_on_a_broken_schema(
    project: Project, write: Write
) -> None:
    """A migration that fails ends the start, with the code for a failed statement."""
    migrations = write(BROKEN)
    code = project.compose("up", "--build", "--detach", migrations=migrations)
    alone = project.compose("run", "--rm", "migrate", migrations=migrations)

    assert (code != 0, alone) == (True, 13)
    assert project.state("migrate") == ("exited", 13)
    assert project.state("app") in {None, ("created", 0)}


def test_waiting_ends_when_the_migrator_lingers(lingering: Project) -> None:
    """`up --wait` succeeds, again as well; SIGTERM then ends the migrator with 0."""
    code = lingering.compose("up", "--build", "--wait")
    states = [lingering.state(service) for service in ("migrate", "app")]
    health = lingering.health("migrate")
    again = lingering.compose("up", "--wait")
    by_hand = lingering.compose("run", "--rm", "migrate", "status", "--check")
    lingering.compose("stop", "migrate")

    assert (code, again, by_hand) == (0, 0, 0)
    assert (states, health) == ([("running", 0)] * 2, "healthy")
    assert "EUR" in lingering.log("app", until="rows)")
    assert lingering.state("migrate") == ("exited", 0)


def test_waiting_ends_when_a_migration_fails(lingering: Project, write: Write) -> None:
    """A failure does not linger: `up --wait` fails, and the application never starts."""
    code = lingering.compose("up", "--build", "--wait", migrations=write(BROKEN))

    assert code != 0
    assert lingering.state("migrate") == ("exited", 13)
    assert lingering.state("app") in {None, ("created", 0)}

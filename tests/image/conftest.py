"""The image is built once, a server runs beside it, every test gets an empty database."""

import io
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.image.engine import ROOT, Migrator, Target, call, docker, engine_answers


PASSWORD = "for-tests-only"
VERSIONS = {
    "VERSION": "1.2.3",
    "REVISION": "0a1b2c3",
    "CREATED": "2025-01-01T00:00:00Z",
    # named: without it the engine's cache takes a layer that was made for another time
    "SOURCE_DATE_EPOCH": "1735689600",
}
_numbers = count(1)

Write = Callable[[dict[str, str]], Path]
Content = dict[str, tarfile.TarInfo]


@dataclass(frozen=True)
class Postgres:
    """A server on a network of its own, where its name is `db`."""

    network: str
    port: int
    container: str

    def dsn(self, database: str) -> str:
        """How a test connects."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def label() -> Iterator[str]:
    """A label for all that this session makes; what carries it is gone afterwards."""
    if not engine_answers():
        pytest.skip("no container engine answers; tests/image/machine starts one")
    value = f"migrator.test={uuid4().hex[:12]}"
    yield value
    for container in docker(
        "ps", "--all", "--quiet", f"--filter=label={value}"
    ).split():
        docker("rm", "--force", "--volumes", container)
    for network in docker(
        "network", "ls", "--quiet", f"--filter=label={value}"
    ).split():
        docker("network", "rm", network)
    for image in docker("images", "--quiet", f"--filter=label={value}").split():
        call("docker", "rmi", "--force", image)


@pytest.fixture(scope="session")
def image(label: str) -> str:
    """The image that the Dockerfile makes."""
    tag = label.replace("=", ":")
    arguments = [f"--build-arg={name}={value}" for name, value in VERSIONS.items()]
    docker(
        "build", "--quiet", f"--tag={tag}", f"--label={label}", *arguments, str(ROOT)
    )
    return tag


@pytest.fixture(scope="session")
def content(image: str) -> Content:
    """What the image's file system holds, by path, without the engine's mount points."""
    container = docker("create", image)
    exported = subprocess.run(
        ["docker", "export", container], check=True, capture_output=True
    )
    docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as tar:
        members = {member.name.rstrip("/"): member for member in tar}
    mounted = re.compile(
        r"(dev|proc|sys)(/|$)|\.dockerenv$|etc/(hostname|hosts|mtab|resolv\.conf)$"
    )
    return {name: member for name, member in members.items() if not mounted.match(name)}


@pytest.fixture(scope="session")
def postgres(label: str) -> Postgres:
    """A running server that forgets everything."""
    network = label.replace("=", "-")
    docker("network", "create", f"--label={label}", network)
    container = docker(
        "run",
        "--detach",
        f"--label={label}",
        f"--network={network}",
        "--network-alias=db",
        "--publish=127.0.0.1::5432",
        "--tmpfs=/var/lib/postgresql/data",
        f"--env=POSTGRES_PASSWORD={PASSWORD}",
        "postgres:17",
        *("-c", "fsync=off"),
        *("-c", "max_connections=200"),
    )
    wait_for_server(container)
    port = int(docker("port", container, "5432/tcp").rpartition(":")[2])
    return Postgres(network, port, container)


@pytest.fixture
def target(postgres: Postgres) -> Iterator[Target]:
    """An empty database."""
    name = f"image_{next(_numbers)}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield Target(
            url=f"postgresql://postgres:{PASSWORD}@db/{name}",
            dsn=postgres.dsn(name),
            network=postgres.network,
        )
        conn.execute(
            sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
        )


@pytest.fixture
def migrator(image: str, label: str, target: Target) -> Migrator:
    """The image, ready to be run against an empty database."""
    return Migrator(image, label, target)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes migrations, file name to text, that any user may read; their directory."""
    directory = tmp_path / "migrations"

    def write(files: dict[str, str]) -> Path:
        directory.mkdir(mode=0o755)
        directory.chmod(0o755)
        for name, text in files.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o644)
        return directory

    return write


def wait_for_server(container: str) -> None:
    """Over TCP, where the server that initialises the cluster does not listen."""
    end = time.monotonic() + 60
    while call(
        "docker", "exec", container, "pg_isready", "--host=localhost"
    ).returncode:
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.2)

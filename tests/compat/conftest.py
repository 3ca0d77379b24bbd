"""goose itself, built once."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.compat import goose, program
from tests.conftest import with_database


Databases = Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Oracle:
    """goose's parser, and the files of its own tests."""

    goose: goose.Goose
    testdata: tuple[Path, ...]


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """goose's own parser as a program; built with Go from goose's module."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed: goose cannot be asked")
    folder = tmp_path_factory.mktemp("goose")
    return Oracle(goose.build(folder), tuple(goose.testdata(folder)))


@pytest.fixture(scope="session")
def goose_command() -> program.Program:
    """goose's command, as a function."""
    return program.command()


@pytest.fixture(scope="session")
def databases(server: str, templates: dict[str, str]) -> Databases:
    """Empty databases beside the test's own, one at a time."""

    template = templates["UTF8"]

    @contextmanager
    def database() -> Iterator[str]:
        name = f"{template}_copy"
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
            try:
                yield with_database(server, name)
            finally:
                conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    return database

"""A file of variables means what it means for goose."""

import json
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from migrator.config.dotenv import read_env_file
from migrator.errors import UsageError
from tests.compat.program import Place, Program


_NAME = "GOOSE_TABLE"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GOOSE_TABLE=a b\n",
        "export GOOSE_TABLE = a # c\n",
        "GOOSE_TABLE: y\n",
        "GOOSE_TABLE=a#b\n",
        "GOOSE_TABLE=a # b # c\n",
        "GOOSE_TABLE=#x\n",
        "GOOSE_TABLE==x\n",
        "GOOSE_TABLE=postgres://u:p@h:1/d?a=b\n",
        "GOOSE_TABLE=\nX=2\n",
        "# c\n\n  GOOSE_TABLE=v",
        "GOOSE_TABLE=a\nGOOSE_TABLE=b\n",
        "1X=2\nGOOSE_TABLE=a'b\n",
        "GOOSE_TABLE='a # b $X'\n",
        "GOOSE_TABLE='two\nlines'\n",
        'GOOSE_TABLE="x" # c\n',
        'GOOSE_TABLE="it\'s"\n',
        'GOOSE_TABLE="a\\nb \\"q\\" \\$X \\\\ c\\td"\n',
        "GOOSE_TABLE=a\\nb\n",
        "GOOSE_TABLE=a\r\nX=t\r\n",
        "X=1\nGOOSE_TABLE=p${X}q$X-$Y.\n",
        "X=1\nGOOSE_TABLE='${X}'\n",
        "GOOSE_TABLE=\\$X$(X)\n",
        "GOOSE_TABLE=pa$$word$\n",
        "FOO\nGOOSE_TABLE=1\n",
        "GOOSE_TABLE='open\n",
        'GOOSE_TABLE="a\\"\n',
        "export\nGOOSE_TABLE=1\n",
        "GOOSE-TABLE=1\n",
        "\ufeffGOOSE_TABLE=1\n",
    ],
)
def test_env_file_has_the_value_that_goose_reads(
    text: str, goose_command: Program, tmp_path: Path
) -> None:
    """The same value, or an error from both."""
    file = tmp_path / "env"
    file.write_bytes(text.encode())

    assert _value(file) == _value_of_goose(file, goose_command)


@pytest.mark.parametrize(
    "text",
    [
        "GOOSE_TABLE: y\n",  # as godotenv's README writes it
        "X=1\nGOOSE_TABLE=p$X.\n",
        "X=1\nGOOSE_TABLE='${X}'\n",
        'GOOSE_TABLE="\\$X"\n',
        "GOOSE_TABLE=a # b # c\n",
    ],
)
def test_python_dotenv_reads_other_values(
    text: str, goose_command: Program, tmp_path: Path
) -> None:
    """Why the file has a reader of ours: when they read alike, it may go."""
    file = tmp_path / "env"
    file.write_text(text)

    assert dotenv_values(file).get(_NAME) != _value_of_goose(file, goose_command)


def _value_of_goose(file: Path, goose_command: Program) -> str | None:
    place = Place(dsn="", directory=file.parent, env_file=str(file))
    answer = goose_command(place, "env")
    line = re.search(rf'^{_NAME}=(".*")$', answer.text, re.MULTILINE)
    value: str | None = json.loads(line[1]) if line else None
    return value


def _value(file: Path) -> str | None:
    try:
        return read_env_file(file).get(_NAME, "")
    except UsageError:
        return None

"""`create` makes a file that is a migration, `fix` gives timestamps new versions."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from migrator.domain.model import Split
from migrator.source.create import create, is_timestamp, snake_case
from migrator.source.load import load
from tests.helpers.support import Result, run


NOON = datetime(2026, 3, 1, 12, 0, 59, tzinfo=UTC)


def names(directory: Path) -> list[str]:
    """The files of a directory."""
    return sorted(path.name for path in directory.iterdir())


def touch(directory: Path, *files: str) -> Path:
    """Make empty migrations."""
    directory.mkdir()
    for name in files:
        (directory / name).write_text("-- +goose Up\n")
    return directory


def command(directory: Path, *argv: str, **environ: str) -> Result:
    """Run a command on a directory, without a database."""
    return run(*argv, MIGRATOR_MIGRATIONS_DIR=str(directory), **environ)


@pytest.mark.parametrize("kind", ["sql", "py"])
def test_what_is_made_is_a_migration(tmp_path: Path, kind: str) -> None:
    """It is valid as it is, in both directions, named by time and name."""
    directory = tmp_path / "not" / "there"

    name = create(directory, "Add Users", kind=kind, sequential=False, now=NOON)

    files = load(directory, split=Split.GOOSE, environ={})
    (made,) = files.migrations
    assert (made.path, made.version) == (
        f"20260301120059_add_users.{kind}",
        20260301120059,
    )
    assert (name, files.all_faults) == (made.path, ())
    assert (
        len(made.up.listed_statements),
        len(made.down.listed_statements),
        made.transaction,
    ) == (1, 1, True)


def test_the_template_is_gooses(tmp_path: Path) -> None:
    """Byte by byte that of v3.27."""
    name = create(tmp_path, "a", kind="sql", sequential=False, now=NOON)

    assert (tmp_path / name).read_bytes() == (
        b"-- +goose Up\nSELECT 'up SQL query';\n\n"
        b"-- +goose Down\nSELECT 'down SQL query';\n"
    )


def test_a_second_has_one_version(tmp_path: Path) -> None:
    """Two files that are made in the same second do not get the same version."""
    made = [
        create(tmp_path, "a", kind=kind, sequential=False, now=NOON)
        for kind in ("sql", "sql", "py")
    ]

    assert made == [
        "20260301120059_a.sql",
        "20260301120100_a.sql",
        "20260301120101_a.py",
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "00001_a.sql"),
        (["00001_x.sql", "7_y.py"], "00008_a.sql"),
        (["00001_x.sql", "20240101000000_y.sql"], "00002_a.sql"),
        (["99999_x.sql"], "100000_a.sql"),
        (["20241301000000_no_month.sql"], "20241301000001_a.sql"),
    ],
)
def test_sequential_versions(tmp_path: Path, there: list[str], expected: str) -> None:
    """One more than the highest version that is no timestamp."""
    directory = touch(tmp_path / "m", *there)
    for path in directory.glob("*.py"):
        path.write_text("def up(conn): ...\n")

    result = command(directory, "create", "a", "-s")

    assert result.exit_code == 0
    assert [line["path"] for line in result.events("file.created")] == [expected]
    assert expected in names(directory)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Add updated_at to users table", "add_updated_at_to_users_table"),
        ("$()&^%(_--crazy__--input$)", "crazy_input"),
        ("addUsers", "addusers"),
        ("why?", "why_"),
        ("why??", "why"),
        ("Ä \u03a3\u0391\u03a3 \u0130²", "ä_\u03c3\u03b1\u03c3_i²"),
        ("a\nb/../c", "a_b_c"),
        ("---", ""),
        ("", ""),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    """As goose writes names; the first two are its own examples."""
    assert snake_case(name) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (20240101120000, True),
        (20240229235959, True),
        (20230229235959, False),
        (20240101240000, False),
        (20240101120060, False),
        (19700101000000, False),
        (19691231235959, False),
        (2024010112000, False),
        (202401011200000, False),
        (7, False),
    ],
)
def test_timestamps(version: int, expected: bool) -> None:  # noqa: FBT001 - a table
    """A version is a timestamp when it is a second after 1970, as with goose."""
    assert is_timestamp(version) is expected


def test_create_needs_no_database(tmp_path: Path) -> None:
    """The arguments are goose's: the name, then the type, sql when left out."""
    first = command(tmp_path, "create", "add users")
    second = command(tmp_path, "-s", "create", "add users", "py")
    third = command(
        tmp_path,
        GOOSE_COMMAND="create",
        GOOSE_COMMAND_ARG="third",
        MIGRATOR_SEQUENTIAL="true",
    )

    assert [r.exit_code for r in (first, second, third)] == [0, 0, 0]
    assert names(tmp_path)[:2] == ["00001_add_users.py", "00002_third.sql"]
    assert names(tmp_path)[2].endswith("_add_users.sql")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["create"], "create needs a name: `create add_users`, or MIGRATOR_NAME"),
        (["create", "--", "---"], "'---' names nothing: use letters or digits"),
        (["create", "a", "go"], "MIGRATOR_KIND: input should be 'sql' or 'py'"),
        (["create", "a", "sql", "b"], "too many arguments; expected create NAME [KIND]; see `migrator help`"),
    ],
)  # fmt: skip
def test_arguments_that_make_nothing(
    tmp_path: Path, argv: list[str], message: str
) -> None:
    """Each error says what to write, and no file is made."""
    result = command(tmp_path, *argv)

    assert (result.exit_code, result.verdict["error"]) == (2, message)
    assert names(tmp_path) == []


@pytest.mark.parametrize("argv", [["create", "a"], ["fix"]])
def test_one_directory_is_written_into(tmp_path: Path, argv: list[str]) -> None:
    """Of several nobody says which."""
    result = run(*argv, MIGRATOR_MIGRATIONS_DIR=f"{tmp_path}:{tmp_path / 'b'}")

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        "this command writes into one directory: name it with -dir",
    )
    assert names(tmp_path) == []


def test_files_with_faults_stop_counting(tmp_path: Path) -> None:
    """No next number is known where versions are not; a time is."""
    directory = touch(tmp_path / "m", "1_a.sql", "01_b.sql")

    assert command(directory, "create", "c", "-s").exit_code == 10
    assert command(directory, "fix").exit_code == 10
    assert command(directory, "create", "c").exit_code == 0


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The error has the operating system's reason."""
    (tmp_path / "m").touch()

    result = command(tmp_path / "m", "create", "a")

    assert result.exit_code == 10
    assert result.verdict["error"] == (
        f"{tmp_path}/m: File exists; fix its permissions,"
        " or point MIGRATOR_MIGRATIONS_DIR elsewhere"
    )


def test_fix(tmp_path: Path) -> None:
    """Timestamps go on after the highest number, in their order; the rest stays."""
    directory = touch(
        tmp_path / "m",
        "00003_a.sql",
        "20240301000000_d.sql",
        "20240101000000_b_20240101000000.sql",
    )
    (directory / "20240201000000_c.py").write_text("def up(conn): ...\n")

    first = command(directory, "fix")
    second = command(directory, "fix")

    assert [(e["before"], e["path"]) for e in first.events("file.renamed")] == [
        ("20240101000000_b_20240101000000.sql", "00004_b_20240101000000.sql"),
        ("20240201000000_c.py", "00005_c.py"),
        ("20240301000000_d.sql", "00006_d.sql"),
    ]
    assert (second.exit_code, second.events("file.renamed")) == (0, [])
    assert names(directory) == [
        "00003_a.sql",
        "00004_b_20240101000000.sql",
        "00005_c.py",
        "00006_d.sql",
    ]

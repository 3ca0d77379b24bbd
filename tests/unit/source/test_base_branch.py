"""`validate` beside the target branch's files: what cannot be merged as it is."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from migrator.cli import main
from tests.helpers.support import Result, run, write


A, B = "00001_a.sql", "00002_b.sql"
OLDER = (
    "version 3 is older than 7, the newest of the base branch;"
    " MIGRATOR_ALLOW_MISSING=true lets `up` apply it behind that one"
)
BASE = {A: "SELECT 1;", B: "SELECT 2;"}


def validate(tmp_path: Path, branch: dict[str, str], **environ: str) -> Result:
    """Check *branch* beside BASE, or another one of the environment."""
    base = environ.pop("MIGRATOR_BASE", None) or str(write(tmp_path / "base", BASE))
    return run(
        "validate",
        MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", branch)),
        MIGRATOR_BASE=base,
        **environ,
    )


def faults(result: Result, event: str = "file.rejected") -> list[tuple[str, str, str]]:
    """Path, kind and text of each fault or warning."""
    return [
        (each["path"], each["slug"], each["message"]) for each in result.events(event)
    ]


def test_new_files_above_the_base_are_valid(tmp_path: Path) -> None:
    """They are named, for whoever reviews them."""
    result = validate(tmp_path, BASE | {"00003_c.sql": "SELECT 3;"})

    (event,) = result.events("files.validated")
    assert (result.exit_code, event["files"]) == (0, 3)
    assert event["added"] == ["00003_c.sql"]


def test_without_a_base_nothing_is_said_to_be_new(tmp_path: Path) -> None:
    """Nobody knows."""
    result = run("validate", MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", BASE)))

    (event,) = result.events("files.validated")
    assert (result.exit_code, event["added"]) == (0, None)


def test_a_version_that_the_base_has_too(tmp_path: Path) -> None:
    """Two branches took the same number; the message says what the next one is."""
    result = validate(tmp_path, {A: BASE[A], "00002_mine.sql": "SELECT 9;"})

    assert result.exit_code == 10
    assert faults(result) == [
        (
            "00002_mine.sql",
            "base_version_taken",
            (
                "the base branch has version 2 too, as 00002_b.sql; rename this file to"
                " 00003_mine.sql"
            ),
        ),
        (
            B,
            "base_missing",
            (
                "the base branch has this file, and it is missing here; merge the base"
                " branch, or restore the file"
            ),
        ),
    ]


def test_a_version_that_the_base_has_too_in_a_merged_tree(tmp_path: Path) -> None:
    """Both files are there, as where CI checks out the merge; the new one is named."""
    result = validate(tmp_path, BASE | {"00002_a.sql": "SELECT 9;"})

    assert result.exit_code == 10
    assert result.verdict["error"].startswith(
        "00002_a.sql: the base branch has version 2 too, as 00002_b.sql; rename this"
        " file to 00003_a.sql"
    )


@pytest.mark.parametrize("old", ["00003_old.sql", "3_old.sql"])
def test_a_new_version_below_the_newest_of_the_base(tmp_path: Path, old: str) -> None:
    """`up` would refuse it where the base is applied; digits stay as many."""
    base = write(tmp_path / "base", BASE | {"00007_g.sql": "SELECT 7;"})
    branch = BASE | {"00007_g.sql": "SELECT 7;", old: "SELECT 3;"}

    result = validate(tmp_path, branch, MIGRATOR_BASE=str(base))

    new = "00008_old.sql" if old.startswith("0") else "8_old.sql"
    assert result.exit_code == 10
    assert faults(result) == [
        (
            old,
            "base_version_old",
            (
                "version 3 is older than 7, the newest of the base branch, and a database"
                f" that has that one refuses it; rename this file to {new}"
            ),
        )
    ]


def test_timestamps_get_timestamps(tmp_path: Path) -> None:
    """The next second that is free."""
    newest = "20261130235959_g.sql"
    base = write(tmp_path / "base", {newest: "SELECT 7;"})
    branch = {newest: "SELECT 7;", "20261129080000_old.sql": "SELECT 3;"}

    result = validate(tmp_path, branch, MIGRATOR_BASE=str(base))

    ((_, _, message),) = faults(result)
    assert message.endswith("; rename this file to 20261201000000_old.sql")


def test_files_that_follow_a_renamed_one_keep_their_order(tmp_path: Path) -> None:
    """A free number behind them would run it after what depends on it."""
    branch = BASE | {"00003_x.sql": "SELECT 3;", "00004_y.sql": "SELECT 4;"}
    base = write(tmp_path / "base", BASE | {"00003_c.sql": "SELECT 3;"})
    write(tmp_path / "m", {"00003_c.sql": "SELECT 3;"})

    result = validate(tmp_path, branch, MIGRATOR_BASE=str(base))

    assert [(path, slug) for path, slug, _ in faults(result)][:2] == [
        ("00003_x.sql", "base_version_taken"),
        ("00004_y.sql", "base_order"),
    ]
    assert "rename this file to 00005_x.sql" in faults(result)[0][2]
    assert faults(result)[1][2] == (
        "it follows 00003_x.sql, which is to be renamed to 00005_x.sql; rename this"
        " file to 00006_y.sql"
    )


def test_two_new_files_with_one_version(tmp_path: Path) -> None:
    """As without a base."""
    result = validate(tmp_path, BASE | {"00003_x.sql": "SELECT 3;", "3_y.sql": "--"})

    assert [each[:2] for each in faults(result)] == [("3_y.sql", "duplicate")]


def test_a_changed_file_of_the_base(tmp_path: Path) -> None:
    """Databases may have applied it; blanks at the ends of lines do not count."""
    result = validate(tmp_path, {A: "SELECT 1;  ", B: "SELECT 22;"})

    assert result.exit_code == 10
    assert faults(result) == [
        (
            B,
            "base_changed",
            (
                "the base branch has this file with other content, and databases may have"
                " applied it; restore it and put the change into a new file"
            ),
        )
    ]


def test_a_removed_file_of_the_base(tmp_path: Path) -> None:
    """Or one that the branch has not merged yet."""
    result = validate(tmp_path, {B: BASE[B]})

    assert (result.exit_code, [each[:2] for each in faults(result)]) == (
        10,
        [(A, "base_missing")],
    )


def test_a_renamed_file_of_the_base(tmp_path: Path) -> None:
    """Same version, same content: nothing is new, and its name is to stay."""
    result = validate(tmp_path, {A: BASE[A], "00002_better.sql": BASE[B]})

    assert result.exit_code == 10
    assert faults(result) == [
        (
            "00002_better.sql",
            "base_renamed",
            "the base branch has this file as 00002_b.sql; rename it to that",
        )
    ]


def test_missing_migrations_that_are_allowed_are_a_warning(tmp_path: Path) -> None:
    """MIGRATOR_ALLOW_MISSING=true lets `up` apply an older file; a version is one's."""
    base = write(tmp_path / "base", BASE | {"00007_g.sql": "SELECT 7;"})
    added = {"00003_old.sql": "SELECT 3;", "00008_h.sql": "SELECT 8;"}
    branch = BASE | {"00007_g.sql": "SELECT 7;"} | added
    environ = {"MIGRATOR_BASE": str(base), "MIGRATOR_ALLOW_MISSING": "true"}

    result = validate(tmp_path, branch, **environ)
    taken = validate(tmp_path, branch | {"00002_mine.sql": "SELECT 9;"}, **environ)

    assert result.exit_code == 0
    assert faults(result, "file.warned") == [
        ("00003_old.sql", "base_version_older", OLDER)
    ]
    assert (taken.exit_code, faults(taken)[0][0]) == (10, "00002_mine.sql")


def test_the_base_may_be_an_archive_or_empty(tmp_path: Path) -> None:
    """`git archive` makes one; the first migrations of a project have no base."""
    base = write(tmp_path / "base", BASE)
    archive, empty = tmp_path / "base.tar", tmp_path / "empty"
    empty.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.add(base, "migrations")
    changed = {A: BASE[A], B: "SELECT 22;"}

    beside_archive = validate(tmp_path, changed, MIGRATOR_BASE=str(archive))
    beside_nothing = validate(tmp_path, changed, MIGRATOR_BASE=str(empty))

    assert [each[:2] for each in faults(beside_archive)] == [(B, "base_changed")]
    assert beside_nothing.exit_code == 0
    assert beside_nothing.events("files.validated")[0]["added"] == [A, B]


def test_a_base_that_is_not_there_names_its_setting(tmp_path: Path) -> None:
    """It is a mistake of CI, not a branch without files."""
    result = validate(tmp_path, BASE, MIGRATOR_BASE=str(tmp_path / "nothing"))

    assert result.exit_code == 10
    assert result.verdict["error"] == (
        f"{tmp_path}/nothing: there is no such directory; mount the migrations there,"
        " or point MIGRATOR_BASE at them"
    )


def test_the_flag_and_the_words_for_a_person(tmp_path: Path) -> None:
    """As in CI's own log."""
    base = write(tmp_path / "base", BASE)
    branch = write(tmp_path / "m", BASE | {"00003_c.sql": "SELECT 3;"})
    out = io.StringIO()

    code = main(
        ["-dir", str(branch), "--base", str(base), "validate"],
        {"MIGRATOR_LOG_FORMAT": "console"},
        out,
    )

    assert code == 0
    assert "valid: 3 files, 3 statements; 1 new file: 00003_c.sql" in (out.getvalue())


def test_what_git_archive_makes_is_a_base(tmp_path: Path) -> None:
    """As the README's example does it."""
    repository = tmp_path / "repository"
    repository.mkdir()
    write(repository / "migrations", BASE)
    name = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    base = tmp_path / "base.tar"
    archive = ["git", "archive", f"--output={base}", "HEAD", "migrations"]
    subprocess.run(archive, cwd=repository, check=True)

    result = validate(tmp_path, BASE, MIGRATOR_BASE=str(base))

    assert (result.exit_code, faults(result)) == (0, [])

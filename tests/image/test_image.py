"""The image, built from the Dockerfile and run as users run it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.image.conftest import VERSIONS, Content, Write
from tests.image.engine import (
    RESTRICTED,
    ROOT,
    Migrator,
    call,
    docker,
    finished,
)


SIZE_BYTES = 68_700_000
"""
What the files take together: CPython and its library 28 MB, the driver with libpq and
an OpenSSL of its own 13, OpenSSL and libc of Debian 11, pydantic 10, SQLite 2.
"""

PYTHON = "--entrypoint=/usr/bin/python3"

EPOCH = int(VERSIONS["SOURCE_DATE_EPOCH"])

GOOD = {
    "00001_item.sql": "-- +goose Up\ncreate table item (id int);\n\n-- +goose Down\ndrop table item;\n",
    "00002_item_id.sql": "-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently item_id on item (id);\n",
    "00003_fill.sql": "-- +goose Up\ninsert into item select generate_series(1, 10);\n",
}
BROKEN = GOOD | {
    "00004_broken.sql": "-- +goose Up\ncreate table part (id int);\nselect 1 / 0;\n"
}
SLOW = {
    "00001_slow.sql": "-- +goose Up\ncreate table item (id int);\nselect pg_sleep(60);\n"
}


def read(image: str, path: str) -> str:
    """What a file of the image holds."""
    code = f"print(open({path!r}).read())"
    return docker("run", "--rm", "--network=none", PYTHON, image, "-c", code)


class TestContent:
    def test_size(self, content: Content) -> None:
        """The image has not grown by more than 5 %."""
        size = sum(member.size for member in content.values())

        assert size <= SIZE_BYTES * 1.05, "if that has to be, say why at SIZE_BYTES"

    def test_programs(self, content: Content) -> None:
        """Python is the only program: no shell, no package manager, no compiler."""
        programs = {
            path for path in content if re.match(r"(usr/)?(local/)?s?bin/", path)
        }

        assert programs == {"usr/bin/python3", "usr/bin/python3.13"}

    def test_packages(self, content: Content) -> None:
        """Beside the migrator only what the lock file names is installed, without pip."""
        lock = (ROOT / "requirements.lock").read_text().splitlines()
        locked = [
            line.partition("==")[0]
            for line in lock
            if "==" in line and "win32" not in line
        ]
        found = [
            Path(path).name.partition("-")[0]
            for path in content
            if path.endswith(".dist-info")
        ]

        assert sorted(name.replace("_", "-") for name in found) == sorted(locked)

    def test_modes(self, content: Content) -> None:
        """Everybody can read everything; only /tmp can be written by others than root."""
        files = [member for member in content.values() if not member.issym()]

        assert [file.name for file in files if file.mode & 0o444 != 0o444] == []
        assert [file.name for file in files if file.mode & 0o6022] == ["tmp"]
        assert {(file.uid, file.gid) for file in files} == {(0, 0)}

    def test_package_records(self, content: Content) -> None:
        """A vulnerability scanner finds the Debian packages that the files come from."""
        records = {
            Path(path).name
            for path in content
            if path.startswith("var/lib/dpkg/status.d/")
        }
        copyrights = {
            Path(path).parent.name for path in content if path.endswith("/copyright")
        }

        assert records >= {"ca-certificates", "libc6", "python3.13-minimal", "tzdata"}
        assert copyrights == records

    def test_bill_of_materials(self, image: str, content: Content) -> None:
        """It names what is in the image: each package of Debian and of Python."""
        bill = json.loads(read(image, "/usr/share/migrator/sbom.cdx.json"))

        names = {part["purl"].partition("@")[0] for part in bill["components"]}
        records = (p for p in content if p.startswith("var/lib/dpkg/status.d/"))
        debian = {f"pkg:deb/debian/{Path(path).name}" for path in records}
        lock = (ROOT / "requirements.lock").read_text()
        locked = re.findall(
            r"^([\w-]+)(?:\[.*\])?==[^ ]+ (?!.*win32)", lock, re.MULTILINE
        )
        root = bill["metadata"]["component"]
        assert bill["bomFormat"] == "CycloneDX"
        assert (root["name"], root["version"]) == ("migrator", VERSIONS["VERSION"])
        assert names >= debian
        assert names >= {f"pkg:pypi/{name}" for name in locked}

    def test_what_the_driver_has_brought_along(self, image: str) -> None:
        """The bill names what Debian's records cannot: libraries inside of a wheel."""
        bill = json.loads(read(image, "/usr/share/migrator/sbom.cdx.json"))
        wheels = {part["purl"].partition("/")[0] for part in bill["components"]}

        assert wheels == {"pkg:deb", "pkg:pypi", "pkg:rpm"}

    def test_time_stamps(self, content: Content) -> None:
        """Two builds of the same files make the same image."""
        found = {name: member.mtime for name, member in content.items()}
        engines = {"etc"}  # where it mounts files of its own

        assert {n for n, at in found.items() if at != EPOCH} <= engines

    def test_metadata(self, image: str) -> None:
        """The image says what it is, runs as a numeric user and gets its signals itself."""
        (inspected,) = json.loads(docker("image", "inspect", image))
        config = inspected["Config"]

        prefix = "org.opencontainers.image."
        labels = {
            name: text
            for name, text in config["Labels"].items()
            if name.startswith(prefix)
        }
        assert labels == {
            f"{prefix}title": "migrator",
            f"{prefix}description": "Migrates a PostgreSQL schema once and exits",
            f"{prefix}licenses": "MIT",
            f"{prefix}version": VERSIONS["VERSION"],
            f"{prefix}revision": VERSIONS["REVISION"],
            f"{prefix}created": VERSIONS["CREATED"],
            f"{prefix}source": "",
            f"{prefix}base.name": "docker.io/library/debian:trixie-slim",
            f"{prefix}base.digest": "",
        }
        assert (config["User"], config["WorkingDir"], config["StopSignal"]) == (
            "65532:65532",
            "/",
            "SIGTERM",
        )
        assert config["Entrypoint"] == ["/usr/bin/python3", "-P", "/entrypoint.py"]
        assert config["Cmd"] is None

    def test_the_base_is_taken_by_digest(self, image: str, label: str) -> None:
        """A digest that no image has ends the build, which succeeds without one."""
        command = ("docker", "build", "--target=base", f"--label={label}", str(ROOT))
        wrong = f"--build-arg=BASE_DIGEST=sha256:{'0' * 64}"

        codes = [call(*command, *more).returncode for more in ((), (wrong,))]

        assert (codes[0], codes[1] != 0) == (0, True)

    def test_byte_code(self, image: str) -> None:
        """No module is compiled at start: a read-only file system could not keep the result."""
        code = "import entrypoint, migrator.cli"
        done = call(
            "docker", "run", "--rm", *RESTRICTED, PYTHON, image, "-v", "-c", code
        )

        loaded = re.findall(
            r"^# code object from '?(.*?)'?$", done.stderr, re.MULTILINE
        )
        compiled = [path for path in loaded if not path.endswith(".pyc")]
        assert done.returncode == 0, done.stderr
        assert any("/migrator/" in path for path in loaded)
        assert compiled == ["/entrypoint.py"]

    @pytest.mark.parametrize(
        "code",
        [
            "import asyncio, csv, ctypes, dbm, decimal, hashlib, sqlite3, ssl, unittest, urllib.request, uuid",
            "import ssl; assert len(ssl.create_default_context().get_ca_certs()) > 100",
            "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')",
            "import tempfile; tempfile.TemporaryFile()",
            "import psycopg; assert psycopg.pq.__impl__ == 'binary'",
        ],
    )
    def test_python_migrations_find_a_whole_python(self, image: str, code: str) -> None:
        """What a migration written in Python may need is there."""
        done = call(
            "docker", "run", "--rm", "--network=none", PYTHON, image, "-c", code
        )

        assert (done.returncode, done.stderr) == (0, "")

    def test_host_names(self, image: str) -> None:
        """Names in /etc/hosts count, where Kubernetes and the engine write them."""
        code = "import socket; print(socket.gethostbyname('primary.example'))"
        options = ["--network=none", "--add-host=primary.example:192.0.2.1"]
        done = call("docker", "run", "--rm", *options, PYTHON, image, "-c", code)

        assert (done.stdout, done.stderr) == ("192.0.2.1\n", "")


class TestRun:
    def test_example(self, migrator: Migrator) -> None:
        """The example's migrations apply once, and a second run has nothing to do."""
        first = migrator.run(ROOT / "migrations")
        applied = migrator.target.versions()
        second = migrator.run(ROOT / "migrations", "up")

        assert finished(first) == (0, "run.finished", 0)
        assert finished(second) == (0, "run.finished", 0)
        assert applied == [
            int(path.name.partition("_")[0])
            for path in sorted((ROOT / "migrations").glob("[0-9]*"))
        ]
        assert migrator.target.versions() == applied

    @pytest.mark.parametrize("user", ["65532:65532", "1000730000:0", "4242:4242"])
    def test_restricted(self, migrator: Migrator, write: Write, user: str) -> None:
        """Any user will do, with no right to write anything or to do anything special."""
        options = (*RESTRICTED, f"--user={user}")
        run = migrator.run(write(GOOD), options=options)

        assert finished(run) == (0, "run.finished", 0)
        assert run.stderr == ""
        assert migrator.target.versions() == [1, 2, 3]

    def test_derived(self, migrator: Migrator, label: str, write: Write) -> None:
        """An image of one's own takes two lines."""
        context = write(GOOD).parent
        (context / "Dockerfile").write_text(
            f"FROM {migrator.image}\nCOPY migrations /migrations\n"
        )
        tag = f"{migrator.image}-derived"
        docker("build", "--quiet", f"--tag={tag}", f"--label={label}", str(context))
        run = migrator.run(None, options=RESTRICTED, image=tag)

        assert finished(run) == (0, "run.finished", 0)
        assert migrator.target.versions() == [1, 2, 3]

    def test_many_at_once(self, migrator: Migrator, write: Write) -> None:
        """Twenty containers start together: every migration is applied once, and all succeed."""
        migrations = write(GOOD)
        with ThreadPoolExecutor(max_workers=20) as pool:
            runs = list(pool.map(lambda _: migrator.run(migrations), range(20)))

        assert [finished(run) for run in runs] == [(0, "run.finished", 0)] * 20
        assert migrator.target.versions() == [1, 2, 3]
        assert migrator.target.rows("select count(*) from item") == [(10,)]
        assert migrator.target.rows(
            "select indisvalid from pg_index where indexrelid = 'item_id'::regclass"
        ) == [(True,)]


class TestVerdict:
    def test_broken(self, migrator: Migrator, write: Write, tmp_path: Path) -> None:
        """Exit code, last line and termination message agree about a migration that fails."""
        message = tmp_path / "termination-log"
        message.touch()
        message.chmod(0o666)
        options = (*RESTRICTED, f"--volume={message}:/dev/termination-log")
        run = migrator.run(write(BROKEN), options=options)

        verdict: dict[str, Any] = json.loads(message.read_text())
        assert finished(run) == (13, "run.finished", 13)
        assert verdict["exit_code"] == 13
        assert message.stat().st_size <= 4096
        assert migrator.target.versions() == [1, 2, 3]
        assert migrator.target.rows("select to_regclass('part')") == [(None,)]

    def test_success_is_reported(
        self, migrator: Migrator, write: Write, tmp_path: Path
    ) -> None:
        """The termination message is written after a success, too."""
        message = tmp_path / "termination-log"
        message.touch()
        message.chmod(0o666)
        run = migrator.run(
            write(GOOD), options=[f"--volume={message}:/dev/termination-log"]
        )

        assert finished(run) == (0, "run.finished", 0)
        assert json.loads(message.read_text())["exit_code"] == 0

    def test_unwritable_termination_log(
        self, migrator: Migrator, write: Write, tmp_path: Path
    ) -> None:
        """A termination log that cannot be written changes no verdict."""
        message = tmp_path / "termination-log"
        message.touch()
        message.chmod(0o600)
        run = migrator.run(
            write(GOOD), options=[f"--volume={message}:/dev/termination-log"]
        )

        assert finished(run) == (0, "run.finished", 0)
        assert message.read_text() == ""

    def test_no_url(self, migrator: Migrator, write: Write) -> None:
        """Without a database the settings are at fault."""
        run = migrator.run(write(GOOD), options=["--env=MIGRATOR_DATABASE_URL="])

        assert finished(run) == (2, "run.finished", 2)

    def test_no_migrations(self, migrator: Migrator) -> None:
        """An image without migrations says so, instead of having nothing to do."""
        run = migrator.run(None)

        assert finished(run) == (10, "run.finished", 10)
        assert "/migrations" in run.stdout
        assert migrator.target.versions() == []

    def test_no_server(self, migrator: Migrator, write: Write) -> None:
        """A server that never answers is something to try again."""
        options = [
            "--env=MIGRATOR_DATABASE_URL=postgresql://db:1/",
            "--env=MIGRATOR_CONNECT_WAIT=1s",
        ]
        run = migrator.run(write(GOOD), options=options)

        assert finished(run) == (20, "run.finished", 20)

    def test_unreadable_file(self, migrator: Migrator, write: Write) -> None:
        """A file that only its owner may read, as umask 077 leaves it, is named."""
        migrations = write(GOOD)
        (migrations / "00003_fill.sql").chmod(0o600)
        run = migrator.run(migrations)

        assert finished(run) == (10, "run.finished", 10)
        assert "00003_fill.sql" in run.events[-1]["error"]
        assert migrator.target.versions() == []

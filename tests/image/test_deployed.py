"""The image as Kubernetes and OpenShift run it: their users, files and variables."""

import gzip
import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.conftest import Write
from tests.image.engine import RESTRICTED, Migrator, docker, finished
from tests.image.test_image import GOOD, PYTHON


OPENSHIFT = (*RESTRICTED, "--user=1000730000:0")
SERVICE_LINKS = {
    "MIGRATOR_PORT": "tcp://10.96.0.7:80",
    "MIGRATOR_PORT_80_TCP": "tcp://10.96.0.7:80",
    "MIGRATOR_PORT_80_TCP_ADDR": "10.96.0.7",
    "MIGRATOR_PORT_80_TCP_PORT": "80",
    "MIGRATOR_PORT_80_TCP_PROTO": "tcp",
    "MIGRATOR_SERVICE_HOST": "10.96.0.7",
    "MIGRATOR_SERVICE_PORT": "80",
    "MIGRATOR_SERVICE_PORT_HTTP": "80",
}


def mounted(directory: Path, contents: dict[str, bytes], mode: int) -> Path:
    """A volume as kubelet makes it of a ConfigMap or a Secret."""
    data = directory / "..2026_01_01_00_00_00.123456789"
    data.mkdir(parents=True)
    for path in (directory, data):
        path.chmod(0o755)
    for name, content in contents.items():
        (data / name).write_bytes(content)
        (data / name).chmod(mode)
        (directory / name).symlink_to(f"..data/{name}")
    (directory / "..data").symlink_to(data.name)
    return directory


def packed(contents: dict[str, str]) -> bytes:
    """A `.tar.gz` of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in contents.items():
            info = tarfile.TarInfo(f"migrations/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue())


def volumes(**places: Path) -> list[str]:
    """Options that mount directories at the root, read-only."""
    return [f"--volume={path}:/{name}:ro" for name, path in places.items()]


def test_a_config_map_and_a_secret(migrator: Migrator, tmp_path: Path) -> None:
    """
    Links through `..data`; a secret that its group may read.

    OpenShift's user is any number, has no entry in /etc/passwd, and group 0.
    """
    files = {name: text.encode() for name, text in GOOD.items()}
    options = (
        *OPENSHIFT,
        *volumes(
            config=mounted(tmp_path / "config", files, 0o644),
            secret=mounted(
                tmp_path / "secret", {"url": migrator.target.url.encode()}, 0o440
            ),
        ),
        "--env=MIGRATOR_MIGRATIONS_DIR=/config",
        "--env=MIGRATOR_DATABASE_URL=",
        "--env=MIGRATOR_DATABASE_URL_FILE=/secret/url",
    )

    run = migrator.run(None, options=options)

    assert finished(run) == (0, "run.finished", 0)
    assert run.stderr == ""
    assert migrator.target.versions() == [1, 2, 3]


def test_an_archive_in_a_config_map(
    migrator: Migrator, write: Write, tmp_path: Path
) -> None:
    """`binaryData` beside the image's own files: one set, nothing is unpacked."""
    rest = {"00004_rest.sql": "-- +goose Up\ninsert into item values (11);\n"}
    config = mounted(tmp_path / "config", {"m.tar.gz": packed(rest)}, 0o644)
    options = (
        *OPENSHIFT,
        *volumes(config=config),
        "--env=MIGRATOR_MIGRATIONS_DIR=/migrations:/config/m.tar.gz",
    )

    run = migrator.run(write(GOOD), options=options)

    assert finished(run) == (0, "run.finished", 0)
    assert migrator.target.versions() == [1, 2, 3, 4]


def test_service_links(migrator: Migrator, write: Write) -> None:
    """A Service called `migrator` sets variables like ours: logged, and no error."""
    options = [f"--env={name}={value}" for name, value in SERVICE_LINKS.items()]

    run = migrator.run(write(GOOD), options=options)

    ignored = [
        line["variable"] for line in run.events if line["event"] == "setting.ignored"
    ]
    assert ignored == sorted(SERVICE_LINKS)
    assert finished(run) == (0, "run.finished", 0)


def test_a_user_without_a_name(migrator: Migrator, write: Write) -> None:
    """libpq would take the system's; where there is none, the error says what to do."""
    options = (*OPENSHIFT, "--env=MIGRATOR_DATABASE_URL=postgresql://db/postgres")

    run = migrator.run(write(GOOD), options=options)

    assert finished(run) == (2, "run.finished", 2)
    assert run.events[-1]["error"] == "no user: name one in the URL, or set PGUSER"


def test_a_password_that_python_finds(migrator: Migrator, write: Write) -> None:
    """The image's only program can be the command."""
    url = migrator.target.url.replace(":for-tests-only@", "@")
    options = (
        *OPENSHIFT,
        f"--env=MIGRATOR_DATABASE_URL={url}",
        "--env=MIGRATOR_PASSWORD_COMMAND=python3 -c \"print('for-tests-only')\"",
    )

    run = migrator.run(write(GOOD), options=options)

    assert finished(run) == (0, "run.finished", 0)
    assert "for-tests-only" not in run.stdout


@pytest.fixture
def proxy(migrator: Migrator) -> Iterator[str]:
    """A sidecar that ends when it gets a POST; its container."""
    code = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        os._exit(0)
http.server.HTTPServer(("127.0.0.1", 15020), Handler).serve_forever()
"""
    container = docker(
        *("run", "--detach", f"--label={migrator.label}"),
        *(f"--network={migrator.target.network}", PYTHON, migrator.image, "-c", code),
    )
    end = time.monotonic() + 30
    # 0x3aac is 15020, and 0A the state of one who listens (proc_pid_net(5))
    ask = "print(':3AAC 00000000:0000 0A' in open('/proc/net/tcp').read())"
    while docker("exec", container, "python3", "-c", ask) != "True":
        assert time.monotonic() < end
    yield container
    docker("rm", "--force", container)


@pytest.mark.parametrize("valid", [True, False], ids=["success", "failure"])
def test_a_proxy_in_the_same_pod(
    migrator: Migrator, write: Write, proxy: str, valid: object
) -> None:
    """It has ended when the migrator has, and so has the Job."""
    files = GOOD if valid else {"00001_a.sql": "-- +goose Up\nselect 1 / 0;\n"}
    options = (
        *RESTRICTED,
        "--env=MIGRATOR_SHUTDOWN_URLS=http://127.0.0.1:15020/quitquitquit",
    )
    inside = f"container:{proxy}"

    run = migrator.run(write(files), options=options, network=inside)

    code = 0 if valid else 13
    names = [line["event"] for line in run.events[-2:]]
    assert (run.code, names) == (code, ["sidecar.stopped", "run.finished"])
    assert docker("wait", proxy) == "0"

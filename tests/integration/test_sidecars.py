"""Sidecars are asked to stop at the end of a run, whatever came of it."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from migrator.events.run import SidecarFailed, SidecarStopped
from migrator.process.cancellation import Cancellation
from migrator.process.sidecars import stop_sidecars
from tests.helpers.http_server import Asked, Server, serving
from tests.helpers.support import Recorder, Result, ended, run, started, until, write


PATH = "/quitquitquit"


def answering(status: int) -> Iterator[Server]:
    """A proxy that answers so to whatever it is asked."""
    with serving(lambda _: (status, "")) as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Server]:
    """A proxy that stops when it is asked to."""
    yield from answering(200)


@pytest.fixture
def stubborn() -> Iterator[Server]:
    """A proxy with a fault of its own."""
    yield from answering(500)


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"


def closed() -> str:
    """The URL of a port where nobody listens."""
    with silent() as url:
        return url


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Migrations without a fault."""
    return write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})


def validated(directory: Path, **environ: str) -> Result:
    """A run that needs no database."""
    return run("validate", MIGRATOR_MIGRATIONS_DIR=str(directory), **environ)


def test_the_proxy_gets_a_post_before_the_last_line(
    proxy: Server, directory: Path
) -> None:
    """Its answer is logged, and `run.finished` stays the last line."""
    url = f"{proxy.url}{PATH}"

    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=url)

    reports = [
        (line["event"], line.get("url"), line.get("status")) for line in result.lines
    ]
    assert proxy.asked == [Asked("POST", PATH, "", {})]
    assert reports[-2:] == [("sidecar.stopped", url, 200), ("run.finished", None, None)]
    assert result.exit_code == 0


@pytest.mark.parametrize("query", ["?token=Zq7queryqZ", "?Zq7queryqZ", "?a=1&b=Zq7qZ"])
@pytest.mark.parametrize("environ", [{}, {"MIGRATOR_NO_SUCH": "x"}])
def test_a_query_is_masked(
    proxy: Server, directory: Path, query: str, environ: dict[str, str]
) -> None:
    """It may hold a token: the proxy gets it, and no line shows it."""
    urls = f"{proxy.url}{PATH}{query} {closed()}{query}"

    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=urls, **environ)

    reports = result.events("sidecar.stopped") + result.events("sidecar.failed")
    assert [asked.path for asked in proxy.asked] == [f"{PATH}{query}"]
    assert [line["url"].partition("?")[2] for line in reports] == ["********"] * 2
    assert "Zq7" not in str(result.lines)


def test_a_url_that_cannot_be_called_is_reported(directory: Path) -> None:
    """A name with a label of 64 characters is none: before anything is called."""
    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=f"http://{'a' * 64}.b/")

    assert result.exit_code == 2
    assert "MIGRATOR_SHUTDOWN_URLS" in result.verdict["error"]


def test_the_termination_message_is_there_before(
    directory: Path, tmp_path: Path
) -> None:
    """Whoever stops the pod on that call loses nothing."""
    message = tmp_path / "termination-log"
    message.touch()
    seen: list[str] = []

    def answer(_: Asked) -> tuple[int, str]:
        seen.append(message.read_text())
        return 200, ""

    with serving(answer) as proxy:
        validated(
            directory,
            MIGRATOR_SHUTDOWN_URLS=proxy.url,
            MIGRATOR_TERMINATION_LOG=str(message),
        )

    assert [json.loads(text)["exit_code"] for text in seen] == [0]


@pytest.mark.parametrize("separator", [",", " ", ", "])
def test_several_proxies(proxy: Server, directory: Path, separator: str) -> None:
    """URLs are separated by commas or blanks, and are logged in order."""
    urls = [f"{proxy.url}/a", f"{proxy.url}/b"]

    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=separator.join(urls))

    assert [line["url"] for line in result.events("sidecar.stopped")] == urls
    assert sorted(asked.path for asked in proxy.asked) == ["/a", "/b"]


def test_no_proxy_changes_the_code(
    stubborn: Server, proxy: Server, directory: Path
) -> None:
    """One that answers 500, and one that is not there, are logged as warnings."""
    urls = [f"{stubborn.url}/", closed(), f"{proxy.url}/"]

    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=" ".join(urls))

    failed = [(line["url"], line["reason"]) for line in result.events("sidecar.failed")]
    assert failed == [
        (urls[0], "it answered 500"),
        (urls[1], "Connection refused"),
    ]
    assert [line["url"] for line in result.events("sidecar.stopped")] == [urls[2]]
    assert {line["level"] for line in result.events("sidecar.failed")} == {"warning"}
    assert result.exit_code == 0


def test_a_proxy_that_hangs_is_left_alone(proxy: Server) -> None:
    """The time is bounded for all together, and the others are asked meanwhile."""
    recorder = Recorder()

    with silent() as url:
        stop_sidecars((url, proxy.url), recorder, Cancellation(), limit_s=0.3)

    first, second = recorder.events
    assert isinstance(first, SidecarFailed)
    assert first.reason in {"there was no answer in time", "timed out"}
    assert second == SidecarStopped(url=proxy.url, status=200)


def test_a_proxy_that_closes_without_a_word() -> None:
    """What is no answer in HTTP is logged as any other failure."""
    recorder = Recorder()

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close() -> None:
            peer, _ = listener.accept()
            peer.recv(1024)
            peer.close()

        Thread(target=close, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        stop_sidecars((url,), recorder, Cancellation())

    assert recorder.events == [
        SidecarFailed(url=url, reason="the answer is not HTTP: RemoteDisconnected")
    ]


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"MIGRATOR_LOCK_WAITS": "1s"}, 2),
        ({"MIGRATOR_TABLE_FILE": "/nonexistent"}, 2),
        ({"MIGRATOR_ENV_FILE": "/nonexistent"}, 2),
        ({"MIGRATOR_MIGRATIONS_DIR": "/nonexistent"}, 10),
        (
            {
                "MIGRATOR_COMMAND": "up",
                "MIGRATOR_DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
                "MIGRATOR_CONNECT_WAIT": "0",
            },
            20,
        ),
    ],
)
def test_the_proxy_is_stopped_after_a_failure(
    proxy: Server, directory: Path, environ: dict[str, str], code: int
) -> None:
    """Also when the settings cannot be used, as far as the URLs can be read."""
    usual = {
        "MIGRATOR_COMMAND": "validate",
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_SHUTDOWN_URLS": proxy.url,
    }

    result = run(**(usual | environ))

    assert result.exit_code == result.verdict["exit_code"] == code
    assert [asked.method for asked in proxy.asked] == ["POST"]


def test_the_proxy_is_stopped_after_a_wrong_flag(proxy: Server) -> None:
    """The environment says where it is."""
    result = run("up", "--dry", MIGRATOR_SHUTDOWN_URLS=proxy.url)

    assert result.exit_code == 2
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:15020", "ftp://h/", "http://", "http://u:p@h/", "http://h:99999/", ","],
)
def test_what_is_no_url(directory: Path, text: str) -> None:
    """It is a fault of the settings, before anything is done."""
    result = validated(directory, MIGRATOR_SHUTDOWN_URLS=text)

    assert result.exit_code == 2
    assert result.verdict["error"] == (
        "MIGRATOR_SHUTDOWN_URLS: write URLs such as http://127.0.0.1:15020/quitquitquit"
    )


def test_after_sigterm(proxy: Server, directory: Path) -> None:
    """A run that gets SIGTERM stops its proxies as well."""
    dsn = "postgresql://u@127.0.0.1:1/db"

    with started(dsn, directory, MIGRATOR_SHUTDOWN_URLS=proxy.url) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        result = ended(process, signal.SIGTERM)

    assert json.loads(first)["event"] == "run.started"
    assert [line["event"] for line in result.lines[-3:]] == [
        "run.interrupted",
        "sidecar.stopped",
        "run.finished",
    ]
    assert result.exit_code == 143
    assert len(proxy.asked) == 1


def test_a_signal_while_a_proxy_hangs(directory: Path, tmp_path: Path) -> None:
    """It ends the waiting; the verdict, which is written already, stands."""
    message = tmp_path / "termination-log"
    message.touch()
    environ = {
        "MIGRATOR_COMMAND": "validate",
        "MIGRATOR_TERMINATION_LOG": str(message),
    }

    with (
        silent() as url,
        started("", directory, MIGRATOR_SHUTDOWN_URLS=url, **environ) as process,
    ):
        until(message.read_text)
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == result.verdict["exit_code"] == 0
    assert [line["url"] for line in result.events("sidecar.failed")] == [url]

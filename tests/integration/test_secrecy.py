"""No password leaves, wherever it came in and whatever went wrong."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator import cli
from migrator.config import settings
from migrator.engine import runner
from tests.helpers.planted_secrets import Listener, no_secret, secret
from tests.helpers.support import run, write


URLS = {
    "url": "postgresql://u:{quoted}@{place}/{db}",
    "url with an @ as Go reads it": "postgres://u:{plain}p@ss@{place}/{db}",
    "url's query": "postgresql://u@{place}/{db}?password={quoted}",
    "url's sslpassword": "postgresql://u:{quoted}@{place}/{db}?sslpassword={quoted}",
    "keywords": "host={host} port={port} user=u dbname={db} password='{escaped}'",
    "keywords with sslpassword": "host={host} port={port} user=u sslpassword={plain}",
}
"""Where a password stands in each grammar."""


def url_of(form: str, place: str = "127.0.0.1:1") -> str:
    """A database URL of this form with a secret in it, to nobody who listens."""
    host, _, port = place.partition(":")
    hard = secret("url", hard=True)
    return URLS[form].format(
        quoted=quote(hard, safe=""),
        plain=secret("url"),
        escaped=hard.replace("\\", r"\\").replace("'", r"\'"),
        place=place,
        host=host,
        port=port,
        db="d",
    )


@pytest.fixture
def listener(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Listener:
    """Hears a run on one good file."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    return Listener(tmp_path, capfd, {"MIGRATOR_MIGRATIONS_DIR": str(directory)})


FAULTS: Mapping[str, Mapping[str, str]] = {
    "nobody listens": {},
    "an unknown setting": {"MIGRATOR_DATABASEURL": "postgresql://u:Zq7nameqZ@h/d"},
    "a wrong value": {"MIGRATOR_LOCK_TIMEOUT": secret("timeout")},
    "another driver": {"GOOSE_DRIVER": "mysql://u:Zq7driverqZ@h/d"},
}


@pytest.mark.parametrize("form", URLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_url(listener: Listener, form: str, fault: str) -> None:
    """In each grammar, with a failure before or at connecting."""
    url = {"MIGRATOR_DATABASE_URL": url_of(form)}

    output = listener.hear(["up"], {**url, **FAULTS[fault]})

    assert output.exit_code == (2 if FAULTS[fault] else 20)


@pytest.mark.parametrize("form", URLS)
def test_a_crash_of_ours(
    listener: Listener, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback is for a report to us, and shows no connection string."""

    def crash(self: runner.Runner, *_: object) -> None:
        cause = RuntimeError(self.database.dsn.conninfo)
        raise KeyError(self.database.dsn.parameters) from cause

    monkeypatch.setattr(runner.Runner, "run", crash)

    output = listener.hear(["up"], {"MIGRATOR_DATABASE_URL": url_of(form)})

    assert output.exit_code == 1
    assert "run.crashed" in output.all


def test_a_crash_before_the_run(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on stderr, and the last line is there as ever."""

    def crash(*_: object) -> None:
        raise KeyError(url_of("url"))

    monkeypatch.setattr(cli, "read_settings", crash)

    output = listener.hear(["up"], {"MIGRATOR_DATABASE_URL": url_of("url")})

    assert output.exit_code == 1
    assert "run.finished" in output.all


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:{0}@h/d",
        "postgresql://u:{0}/x@h/d",
        "postgresql://u:{0}%@h/d",
        "postgresql://u:{0}@h:{0}/d",
        "postgresql:/u:{0}@h/d",
        "host=h password='{0}",
        "host=h password={0} {0}",
        "{0}",
        "postgresql://u:{0}@h/d?nonsense={0}%",
        "postgresql://u:{0}@h/d?sslmode={0}&password={0}",
        "postgresql://u:{0}@127.0.0.1/d?connect_timeout=x",
        "postgresql://u:{0}@127.0.0.1,127.0.0.2/d?port=1,2,3",
        "service=nowhere password={0}",
        "embedded:/dev/null/{0}?password={0}",
    ],
)
def test_a_url_that_cannot_be_used(listener: Listener, url: str) -> None:
    """Nothing of it is repeated, whatever is wrong."""
    if url.startswith("embedded:"):
        url = url.replace("/{0}", "/x")

    output = listener.hear(
        ["up"], {"MIGRATOR_DATABASE_URL": url.format(secret("broken"))}
    )

    assert output.exit_code != 0


VARIABLES = (
    *("COMMAND", "TARGET", "NAME", "KIND", "WAIT", "MIGRATIONS_DIR", "TABLE", "SPLIT"),
    *("LOCK", "DEADLINE", "ENV_FILE", "LOG_LEVEL", "DATABASE_URL_FILE", "ROLE_FILE"),
    *("ON_DRIFT", "CHECK", "NO_SUCH"),
)


@pytest.mark.parametrize("form", ["url", "keywords"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_url_in_a_wrong_variable(
    listener: Listener, variable: str, form: str
) -> None:
    """The error may repeat the value, but not what is secret in it."""
    output = listener.hear([], {f"MIGRATOR_{variable}": url_of(form)})

    assert output.exit_code != 0


@pytest.mark.parametrize(
    "argv",
    [
        ["mysql", "{url}", "up"],
        ["postgres", "{url}", "upp"],
        ["{url}", "up", "1", "2"],
        ["-dir", "{url}", "up"],
        ["-{url}", "up"],
        ["-table={url}", "validate", "1"],
        ["create", "{url}", "{url}"],
        ["up-to", "{url}"],
        ["postgres", "{url}", "up"],
    ],
)
def test_a_url_in_the_arguments(listener: Listener, argv: list[str]) -> None:
    """As goose takes it, and where it does not belong."""
    output = listener.hear([word.format(url=url_of("url")) for word in argv], {})

    assert output.exit_code != 0


def places(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """Where a password can come from without being in the URL."""
    url, given = folder / "url", url_of("url")
    url.write_text(f"{given}\n")
    service, passfile = folder / "service", folder / "pgpass"
    there = "host=127.0.0.1\nport=1\nuser=u"
    service.write_text(f"[s]\n{there}\npassword={secret('service')}\n")
    passfile.write_text(f"*:*:*:*:{secret('passfile')}\n")
    passfile.chmod(stat.S_IRUSR | stat.S_IWUSR)
    password, bare = (
        folder / "password",
        {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"},
    )
    password.write_text(secret("file", hard=True))
    host = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "u"}
    (folder / "env").write_text(f"MIGRATOR_DATABASE_URL={given}\n")
    return {
        "PGPASSWORD": {**host, "PGPASSWORD": secret("pgpassword", hard=True)},
        "PGPASSFILE": {**host, "PGPASSFILE": str(passfile)},
        "PGSERVICE": {"PGSERVICE": "s", "PGSERVICEFILE": str(service)},
        "service": {
            "MIGRATOR_DATABASE_URL": "service=s",
            "PGSERVICEFILE": str(service),
        },
        "_FILE": {"MIGRATOR_DATABASE_URL_FILE": str(url)},
        "DATABASE_URL": {"DATABASE_URL": given},
        "GOOSE_DBSTRING": {"GOOSE_DBSTRING": given},
        "env file": {"MIGRATOR_ENV_FILE": str(folder / "env")},
        "/run/secrets": {},
        "PASSWORD": {**bare, "MIGRATOR_PASSWORD": secret("password", hard=True)},
        "PASSWORD_FILE": {**bare, "MIGRATOR_PASSWORD_FILE": str(password)},
        "PASSWORD_COMMAND": {**bare, "MIGRATOR_PASSWORD_COMMAND": f"cat {password}"},
    }


@pytest.mark.parametrize("fault", ["", "wrong option", "crash"])
@pytest.mark.parametrize(
    "place",
    [
        *("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "service", "_FILE", "DATABASE_URL"),
        *("GOOSE_DBSTRING", "env file", "/run/secrets"),
        *("PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND"),
    ],
)
def test_other_places(
    listener: Listener, place: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq's variables and files, other tools' variables, and files that we read."""
    environ = places(listener.folder)[place]
    if place == "/run/secrets":
        (listener.folder / "migrator_database_url").write_text(url_of("url"))
        defaults = settings.read_settings.__kwdefaults__ or {}
        monkeypatch.setitem(defaults, "secrets_dir", listener.folder)
    if fault == "wrong option":
        environ = {**environ, "PGSSLMODE": "nonsense"}
    if fault == "crash":
        monkeypatch.setattr(runner.Runner, "run", crash_with_all)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    output = listener.hear(["up"], environ)

    assert output.exit_code == {"": 20, "wrong option": 2, "crash": 1}[fault]


def crash_with_all(self: runner.Runner, *_: object) -> None:
    """A bug that tells everything that is known of the database."""
    dsn = self.database.dsn
    raise KeyError(dsn.conninfo, dict(dsn.defaults))


@pytest.fixture
def poor(database: str, conn: psycopg.Connection) -> Iterator[str]:
    """The DSN of a role that has a password, and a wrong one in it."""
    role = f"secret_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    wrong = {"user": role, "password": secret("wrong", hard=True)}
    yield make_conninfo("", **{**conninfo_to_dict(database), **wrong})
    conn.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sslmode": "verify-full", "sslrootcert": "/nowhere"},
        {"sslmode": "require", "sslcert": "/nowhere", "sslpassword": secret("key")},
        {"options": "-c nonsense=1"},
        {"dbname": "nowhere"},
        {"require_auth": "none"},
    ],
    ids=["password", "no certificate", "no TLS", "option", "database", "method"],
)
def test_what_the_server_refuses(
    listener: Listener, poor: str, change: dict[str, str]
) -> None:
    """Neither libpq nor the server repeats it, and we do not either."""
    dsn = make_conninfo("", **{**conninfo_to_dict(poor), **change})

    output = listener.hear(["up"], {"MIGRATOR_DATABASE_URL": dsn})

    assert output.exit_code != 1


PLAIN, HARD = secret("sql"), secret("sql", hard=True).replace("'", "''")
LONG = f"SELECT {', '.join(['1'] * 40)}"
STATEMENTS = {
    "an unknown option": f"CREATE ROLE r PASSWORD '{HARD}' NONSENSE;",
    "a wrong quote": f'ALTER ROLE postgres PASSWORD "{PLAIN}";',
    "no quotes": f"ALTER ROLE postgres PASSWORD {PLAIN};",
    "a quote too many": f"ALTER ROLE postgres PASSWORD 'it's{PLAIN}';",
    "a hash": f"ALTER ROLE nobody PASSWORD 'SCRAM-SHA-256$4096:{PLAIN}$a:b';",
    "a role that is not there": f"ALTER ROLE nobody ENCRYPTED PASSWORD E'{PLAIN}';",
    "dollars": f"ALTER ROLE nobody PASSWORD $x${PLAIN}$x$;",
    "the wrong keyword": f"ALTER ROLE nobody PASSWRD PASSWORD '{PLAIN}';",
    "a user mapping": "CREATE USER MAPPING FOR public SERVER nowhere"
    f" OPTIONS (user 'u', password '{PLAIN}');",
    "a wrong option of a user mapping": "CREATE EXTENSION postgres_fdw;\n"
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;\n"
    f"CREATE USER MAPPING FOR public SERVER s OPTIONS (sslpassword '{PLAIN}',"
    f" password '{PLAIN}', nonsense 'x');",
    "a foreign table": "CREATE EXTENSION postgres_fdw;\n"
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1',"
    " port '1');\n"
    f"CREATE USER MAPPING FOR public SERVER s OPTIONS (password '{PLAIN}');\n"
    "CREATE FOREIGN TABLE f () SERVER s;\nSELECT * FROM f;",
    "dblink": "CREATE EXTENSION dblink;\n"
    f"SELECT dblink_connect('host=127.0.0.1 port=1 password={PLAIN}');",
    "dblink with a URL": "CREATE EXTENSION dblink;\n"
    f"SELECT dblink_connect('postgresql://u:{PLAIN}@127.0.0.1:1/d');",
    "dblink with words that libpq repeats": "CREATE EXTENSION dblink;\n"
    f"SELECT dblink_connect('host=127.0.0.1 password={PLAIN} {PLAIN}');",
    "a subscription": "CREATE SUBSCRIPTION s CONNECTION"
    f" 'host=127.0.0.1 port=1 password={PLAIN}' PUBLICATION p"
    " WITH (create_slot = false);",
    "a notice": "DO $$ BEGIN RAISE WARNING 'it is %', 'password';"
    f" PERFORM set_config('app.password', '{PLAIN}', true);"
    f" RAISE NOTICE 'password=%', '{PLAIN}'; RAISE EXCEPTION 'password \"%\"',"
    f" '{PLAIN}' USING DETAIL = 'token: \"{PLAIN}\"'; END $$;",
    "a dynamic statement": "DO $$ DECLARE password text := "
    f"'{PLAIN}'; BEGIN EXECUTE format('ALTER ROLE nobody PASSWORD %L', password);"
    " END $$;",
    "a value of that name": f"SELECT 1 WHERE 1 = (SELECT password FROM (SELECT"
    f" '{PLAIN}'::text AS x) y) OR 'password={PLAIN}' = '';",
    "a cast": f"SELECT 'password={PLAIN}'::int;",
    "a long line": f"{LONG}, 'password={PLAIN}', 1, 2, 3 nonsense nonsense {LONG};",
    "a lock": f"LOCK TABLE locked; ALTER ROLE nobody PASSWORD '{PLAIN}';",
    "a setting": f"SET app.password = '{PLAIN}';\nSET nonsense.password TO DEFAULT 1;",
}


def failing(
    listener: Listener, database: str, text: str, *, head: str = ""
) -> str | None:
    """Plan and run one statement; return what is wrong with the output."""
    block = f"-- +goose StatementBegin\n{text}\n-- +goose StatementEnd"
    written = block if "$$" in text else text
    write(listener.folder / "m", {"1_a.sql": f"-- +goose Up\n{head}{written}\n"})
    environ = {"MIGRATOR_DATABASE_URL": database}
    try:
        planned = listener.hear(["plan"], environ)
        output = listener.hear(["up"], environ)
    except AssertionError as error:
        return str(error)
    ended = planned.exit_code in {0, 10} and output.exit_code in {10, 13, 14, 22}
    return None if ended else f"exit codes {planned.exit_code}, {output.exit_code}"


@pytest.mark.usefixtures("both_ways")
def test_a_failing_statement(
    listener: Listener, database: str, conn: psycopg.Connection
) -> None:
    """Neither the server's words nor ours nor `plan` show what stands behind PASSWORD."""
    conn.execute("CREATE TABLE locked ()")

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE locked")
        wrong = {
            name: failing(listener, database, text) for name, text in STATEMENTS.items()
        }

    assert wrong == dict.fromkeys(STATEMENTS)


def test_a_failing_statement_without_a_transaction(
    listener: Listener, database: str, conn: psycopg.Connection
) -> None:
    """The words are others, the secrets the same."""
    conn.execute("CREATE TABLE locked ()")
    alone = {name: text for name, text in STATEMENTS.items() if "CREATE EX" not in text}

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE locked")
        wrong = {
            name: failing(listener, database, text, head="-- +goose NO TRANSACTION\n")
            for name, text in alone.items()
        }

    assert wrong == dict.fromkeys(alone)


ENVSUB = """-- +goose Up
-- +goose ENVSUB ON
SELECT '${APP_PASSWORD}'::int, '${APP_TOKEN}', '$API_KEY', '${OTHER_URL}';
"""


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    "text",
    [
        ENVSUB,
        ENVSUB.replace("::int", ""),
        ENVSUB.replace("'${APP_PASSWORD}'::int", "$APP_PASSWORD"),
        ENVSUB.replace("SELECT", "DO $$ BEGIN RAISE EXCEPTION '%', ").replace(
            "'${APP_PASSWORD}'::int", "'${APP_PASSWORD}"
        ),
        ENVSUB.replace("SELECT", "RAISE '${APP_PASSWORD?no}"),
        ENVSUB.replace("SELECT", "${APP_PASSWORD:x}"),
    ],
)
def test_variables_in_a_file(listener: Listener, database: str, text: str) -> None:
    """Those whose names say secret, and what is one in a URL of another name."""
    write(listener.folder / "m", {"1_a.sql": text})
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "APP_PASSWORD": secret("password"),
        "APP_TOKEN": secret("token"),
        "API_KEY": secret("key"),
        "OTHER_URL": f"postgresql://u:{secret('other')}@h/d",
    }

    listener.hear(["plan"], environ)
    listener.hear(["validate"], environ)
    listener.hear(["up"], environ)


SCRIPT = """
import os

def up(conn):
    {}
"""


@pytest.mark.parametrize(
    "body",
    [
        f"conn.execute(\"ALTER ROLE nobody PASSWORD '{PLAIN}'\")",
        f"conn.execute('ALTER ROLE nobody PASSWORD {PLAIN}')",
        f"password = '{PLAIN}'; raise ValueError(f'not good: {{password}}')",
        "raise ValueError(os.environ['APP_PASSWORD'])",
        "conn.execute('SELECT ' + os.environ['APP_PASSWORD'])",
        "print('password:', os.environ['APP_PASSWORD']); 1 / 0",
        f"print('postgresql://u:{PLAIN}@h/d'); 1 / 0",
        f"import psycopg; psycopg.connect('host=127.0.0.1 port=1 password={PLAIN}')",
        f"import psycopg; psycopg.connect('host=h password=x {PLAIN}')",
        f"password = '{PLAIN}'; {{}}[password]",
        "conn.execute('SELECT %s::int', [os.environ['APP_PASSWORD']])",
        "raise SystemExit(os.environ['APP_PASSWORD'])",
    ],
)
def test_a_script(
    listener: Listener, database: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exceptions, its tracebacks, what it prints, what the server says of it."""
    (listener.folder / "m" / "2_b.py").write_text(SCRIPT.format(body))
    monkeypatch.setenv("APP_PASSWORD", secret("password"))
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "APP_PASSWORD": secret("password"),
    }

    output = listener.hear(["up"], environ)

    assert output.exit_code == 13


@pytest.mark.parametrize(
    "environ",
    [
        {"APP_PASSWORD": "migration"},
        {"APP_PASSWORD": "failed"},
        {"APP_PASSWORD": "error"},
        {"APP_PASSWORD": "run.finished", "OTHER_PASSWORD": "42P01"},
        {"USE_TOKEN": "1", "A_TOKEN": "up", "B_TOKEN": "true", "C_TOKEN": "13"},
    ],
)
def test_a_secret_that_reads_like_a_word_of_ours(
    database: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    """Names, levels, outcomes, commands, codes and numbers stay; texts are masked."""
    directory = write(tmp_path / "m", {"1_migration.sql": "SELECT * FROM failed;"})
    usual = {"MIGRATOR_DATABASE_URL": database, "MIGRATOR_LOG_LEVEL": "debug"}

    without, masked = (
        run("up", MIGRATOR_MIGRATIONS_DIR=str(directory), **usual, **more)
        for more in ({}, environ)
    )

    assert [fixed(line) for line in masked.lines] == [
        fixed(line) for line in without.lines
    ]
    assert masked.exit_code == masked.verdict["exit_code"] == 13
    assert masked.verdict["failed"]["sqlstate"] == "42P01"


def fixed(line: Mapping[str, Any]) -> dict[str, Any]:
    """What no secret changes of a line, and that is the same for each run."""
    names = "level event command outcome exit_code retryable direction version line"
    return {name: line[name] for name in names.split() if name in line}


def test_the_search_finds_what_is_in_the_output() -> None:
    """Otherwise all of the above would say nothing."""
    for hard in (False, True):
        with pytest.raises(AssertionError):
            no_secret(f"error: {secret('x', hard=hard)}!")

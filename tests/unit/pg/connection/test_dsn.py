"""DSNs in libpq's and pgx's grammar."""

import re
import traceback

import pytest

from migrator.errors import UsageError
from migrator.pg.connection.dsn import from_environment, parse_dsn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "postgres://u:p@h:5433/d?sslmode=disable",
            {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "d"}
            | {"sslmode": "disable"},
            id="url",
        ),
        pytest.param(
            "postgresql://h:1,g:2/d",
            {"host": "h,g", "port": "1,2", "dbname": "d"},
            id="hosts",
        ),
        pytest.param(
            "postgresql://u:p%40%2F@h/d",
            {"user": "u", "password": "p@/", "host": "h", "dbname": "d"},
            id="encoded",
        ),
        pytest.param(
            "postgresql://u:p@ss@h/d",
            {"user": "u", "password": "p@ss", "host": "h", "dbname": "d"},
            id="unencoded-at-as-go-reads-it",
        ),
        pytest.param(
            "postgresql:///d?host=/var/run",
            {"host": "/var/run", "dbname": "d"},
            id="socket",
        ),
        pytest.param(
            "postgresql://h/d?search_path=a,b&statement_timeout=5s",
            {"host": "h", "dbname": "d"}
            | {"options": "-c search_path=a,b -c statement_timeout=5s"},
            id="run-time-parameters",
        ),
        pytest.param(
            "postgresql://h/d?options=-c%20a%3Db&search_path=x%20y",
            {"host": "h", "dbname": "d", "options": r"-c a=b -c search_path=x\ y"},
            id="options-are-kept",
        ),
        pytest.param(
            "postgresql://h/d?pool_max_conns=5&default_query_exec_mode=exec",
            {"host": "h", "dbname": "d"},
            id="what-only-pgx-knows-is-dropped",
        ),
        pytest.param(
            "host=h user = u password='it''s' database=d".replace("''", r"\'"),
            {"host": "h", "user": "u", "password": "it's", "dbname": "d"},
            id="keywords",
        ),
        pytest.param(
            "host=h search_path=app",
            {"host": "h", "options": "-c search_path=app"},
            id="both",
        ),
        pytest.param(
            "postgresql://u:p@db?application_name=me@corp.example",
            {"user": "u", "password": "p", "host": "db"}
            | {"application_name": "me@corp.example"},
            id="an-at-sign-behind-the-authority",
        ),
        pytest.param(
            "postgresql:///d?user=me@corp&host=/tmp/a/b",
            {"user": "me@corp", "host": "/tmp/a/b", "dbname": "d"},
            id="a-user-in-the-query",
        ),
        pytest.param(
            "postgresql://h?application_name=a+b%20c&options=-c%20a%3Db+c",
            {"host": "h", "application_name": "a+b c", "options": "-c a=b+c"},
            id="a-plus-is-a-plus-as-in-libpq",
        ),
        pytest.param(
            "postgresql://h/d?TimeZone=Etc/GMT+3",
            {"host": "h", "dbname": "d", "options": "-c TimeZone=Etc/GMT+3"},
            id="also-in-a-run-time-parameter",
        ),
        pytest.param(
            "host=h password=a://b@c",
            {"host": "h", "password": "a://b@c"},
            id="keywords-with-a-url-in-the-password",
        ),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_what_can_be_read(text: str, expected: dict[str, str]) -> None:
    """The parameters that libpq gets."""
    assert dict(parse_dsn(text).parameters) == expected


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:hunter2@h/d",
        "jdbc:postgresql://h/d?user=u&password=hunter2",
        "postgresql://u:hun/ter2@h/d",
        "postgresql://u:hunter2%@h/d",
        "postgresql://u:hun@ter2/x@h/d",
        "postgresql://u:hunter2@h/d?port=x",
        "postgresql://u:hun#ter2@h/d",
        "postgresql://u:1#ter2@h/d",
        "postgresql://u:hun@x#ter2@h/d",
        "postgresql://u:hun?ter2@h/d",
        "postgresql://u:1?ter2@h/d",
        "postgresql://u:1?ter2=2@h/d",
        "postgresql://u:1/ter2?ter2=2@h/d",
        "postgresql://u:hun@x?ter2=2@h/d",
        "postgresql://u:hun@x?ter2@h/d",
        "postgresql://u:hun@x/ter2@h/d?sslmode=disable",
        "postgresql://u:hunter2@h/d?sslmode",
        "postgresql://u:hunter2@h/d#ter2",
        "postgresql://u:hunter2@h/d?x%FF=1",
        "postgresql://u:hunter2@h/d?hun ter2=1",
        "postgresql:/u:hun=ter2@h/d?sslmode=disable",
        "host=h password=hun ter2 dbname=d",
        "host=h password=hun ter2@x=2",
        "host=h password='hunter2",
        "hunter2",
        "postgresql:/u:hunter2@h/d",
    ],
)
def test_what_cannot_be_read_is_not_repeated(text: str) -> None:
    """The error shows how to write one, and nothing of what was written."""
    with pytest.raises(UsageError) as caught:
        parse_dsn(text)

    output = "".join(traceback.format_exception(caught.value))
    assert "postgresql://" in str(caught.value)
    assert "ter2" not in output


def test_what_is_shown_and_what_is_secret() -> None:
    """A DSN prints without its password."""
    dsn = parse_dsn("postgresql://u:hunter2@h:5433/d?sslpassword=swordfish")

    assert (str(dsn), repr(dsn)) == (
        "postgresql://u@h:5433/d",
        "Dsn(postgresql://u@h:5433/d)",
    )
    assert sorted(dsn.secrets) == ["hunter2", "swordfish"]


@pytest.mark.parametrize("port", ["1", "65535"])
def test_the_first_and_the_last_port(port: str) -> None:
    """Both are ports."""
    assert dict(parse_dsn(f"postgresql://h:{port}/d").parameters)["port"] == port


def test_an_address_without_a_name_is_shown() -> None:
    """`hostaddr` stands where the host would."""
    dsn = parse_dsn("hostaddr=127.0.0.1 port=5433 dbname=d")

    assert str(dsn) == "postgresql://127.0.0.1:5433/d"


def test_a_password_that_is_also_the_user_is_not_masked() -> None:
    """Masking it would hide every mention of the user and protect nothing."""
    assert parse_dsn("postgresql://postgres:postgres@h/d").secrets == ()


def test_the_connection_is_calm_by_default() -> None:
    """Keepalives and a connect timeout, unless the DSN has its own."""
    conninfo = parse_dsn("postgresql://h/d?keepalives_idle=7").conninfo

    assert "keepalives_idle=7" in conninfo
    assert "connect_timeout=10" in conninfo


def test_libpqs_own_variables() -> None:
    """They name a database when one of them does."""
    found = from_environment({"PGHOST": "h", "PGDATABASE": "d", "PGPASSWORD": "x"})

    assert str(found) == "postgresql://h/d"
    assert from_environment({"PGPASSWORD": "x"}) is None


@pytest.mark.parametrize(
    ("own", "seconds", "connect_timeout"),
    [
        ("", 60, "10"),
        ("", 4.9, "4"),
        ("", 0.5, "2"),
        ("", -1, "2"),
        ("?connect_timeout=30", 60, "30"),
        ("?connect_timeout=30", 20, "20"),
        ("?connect_timeout=3", 20, "3"),
        ("?connect_timeout=0", 20, "20"),
    ],
)
def test_connecting_takes_no_more_than_is_left(
    own: str, seconds: float, connect_timeout: str
) -> None:
    """What the URL says holds unless it is more; libpq takes nothing below 2 s."""
    dsn = parse_dsn(f"postgresql://h/db{own}").with_connect_timeout(seconds)

    assert dict(dsn.parameters)["connect_timeout"] == connect_timeout


@pytest.mark.parametrize(
    "text",
    [
        "password=my pa=ss",
        "host=h password=my pa=ss dbname=x",
        "host=h password=my pa_s=ss",
        "host=h sslpassword=my pa=ss",
        "postgresql://h/db?password=my&pa=ss",
    ],
)
def test_what_may_be_a_part_of_a_password_is_no_parameter(text: str) -> None:
    """A server that refused the parameter would name it; nothing of it is repeated."""
    with pytest.raises(UsageError) as caught:
        parse_dsn(text)

    assert not {"my", "pa", "ss", "pa_s"} & set(re.findall(r"\w+", str(caught.value)))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("host=h password='my pa' myext.pa=ss", "-c myext.pa=ss"),
        ("host=h password=my search_path=app", "-c search_path=app"),
        ("host=h password=my TimeZone=UTC", "-c TimeZone=UTC"),
        ("password=my host=h myext.pa=ss", "-c myext.pa=ss"),
        ("postgresql://h/db?password=my&work_mem=5MB", "-c work_mem=5MB"),
    ],
)
def test_parameters_of_the_session_behind_a_password(text: str, options: str) -> None:
    """Known ones are none of its parts, nor is anything behind a closing quote."""
    assert dict(parse_dsn(text).parameters)["options"] == options


KNOWN = """
role session_authorization search_path bytea_output client_min_messages datestyle
default_tablespace default_transaction_deferrable default_transaction_isolation
default_transaction_read_only extra_float_digits intervalstyle
idle_in_transaction_session_timeout idle_session_timeout jit lc_messages lock_timeout
log_min_duration_statement log_min_messages log_statement maintenance_work_mem
row_security standard_conforming_strings statement_timeout synchronous_commit
temp_tablespaces timezone transaction_timeout work_mem
"""


@pytest.mark.parametrize("name", KNOWN.split())
def test_a_known_parameter_behind_a_password(name: str) -> None:
    """Each of them, as PostgreSQL names it."""
    dsn = parse_dsn(f"postgresql://h/db?password=my&{name}=x")

    assert dict(dsn.parameters)["options"] == f"-c {name}=x"

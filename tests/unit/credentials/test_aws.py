"""Tokens of AWS's IAM: as AWS's own library makes them, and where their keys are from."""

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from migrator.credentials.aws import keys
from migrator.credentials.rds import RdsToken, rds_token
from migrator.credentials.sigv4 import Keys
from migrator.errors import PasswordUnavailableError, UsageError
from tests.helpers.http_server import Asked, Server, serving


HOST = "shop.abcdef123456.eu-central-1.rds.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/shop"
STATIC = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/K7+MD"}
ANSWER = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <AccessKeyId>ASIA1</AccessKeyId>
      <SecretAccessKey>secret/1+</SecretAccessKey>
      <SessionToken>token//1==</SessionToken>
      <Expiration>2026-01-01T00:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""
DENIED = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>
  </Error>
</ErrorResponse>
"""


@pytest.fixture(scope="module")
def theirs() -> Callable[[Keys, str, int, str, str], str]:
    """What AWS's library makes of the same inputs."""
    session = botocore.session.get_session()

    def token(given: Keys, host: str, port: int, user: str, region: str) -> str:
        client: Any = session.create_client(
            "rds",
            region_name=region,
            aws_access_key_id=given.access,
            aws_secret_access_key=given.secret,
            aws_session_token=given.token,
        )
        made = client.generate_db_auth_token(host, port, user, region)
        assert isinstance(made, str)
        return made

    return token


def environ(given: Keys) -> dict[str, str]:
    """The variables that hold *given*."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name: text for name, text in zip(names, given, strict=True) if text}


def clock_of(token: str) -> Callable[[], datetime]:
    """The clock as it stood when *token* was made."""
    (text,) = parse_qs(urlsplit(f"https://{token}").query)["X-Amz-Date"]
    when = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return lambda: when


@pytest.mark.parametrize(
    ("given", "host", "port", "user", "region"),
    [
        (Keys("AKIDEXAMPLE", "wJalr/K7+MD"), HOST, 5432, "app", "eu-central-1"),
        (Keys("ASIA", "s", "IQoJb3//+=="), HOST, 6432, "app", "eu-central-1"),
        (Keys("AK", "s/+ ~"), f"{HOST}.cn", 5432, "a b+c/ü@~*", "eu-central-1"),
        (Keys("AK", "s"), "shop.example.com", 5432, "app", "us-gov-west-1"),
        (
            Keys("AK", "s"),
            "shop.proxy-abc.us-east-1.rds.amazonaws.com",
            5432,
            "app",
            "us-east-1",
        ),
    ],
)
def test_a_token_is_the_one_that_aws_makes(
    theirs: Callable[[Keys, str, int, str, str], str],
    given: Keys,
    host: str,
    port: int,
    user: str,
    region: str,
) -> None:
    """The same keys, server, user and clock give the same text."""
    expected = theirs(given, host, port, user, region)
    variables = {**environ(given), "AWS_REGION": region}

    token = RdsToken(host, str(port), user, variables, now=clock_of(expected))()

    assert token == expected


@pytest.mark.parametrize(
    ("host", "variables", "region"),
    [
        (HOST, {"AWS_REGION": "us-west-2"}, "eu-central-1"),
        ("db.internal", {"AWS_REGION": "us-west-2"}, "us-west-2"),
        ("db.internal", {"AWS_DEFAULT_REGION": "us-west-1"}, "us-west-1"),
    ],
)
def test_the_region_is_the_servers(
    host: str, variables: dict[str, str], region: str
) -> None:
    """The pod's own may be another one."""
    token = RdsToken(host, "5432", "app", {**STATIC, **variables})()

    assert f"%2F{region}%2Frds-db%2Faws4_request" in token


def test_no_region() -> None:
    """Nothing names one."""
    with pytest.raises(UsageError, match="set AWS_REGION"):
        RdsToken("db.internal", "5432", "app", STATIC)()


@pytest.mark.parametrize(
    ("parameters", "variables", "expected"),
    [
        ({"host": HOST, "user": "a"}, {}, (HOST, "5432", "a")),
        ({"host": HOST, "user": "a", "port": "1"}, {"PGPORT": "2"}, (HOST, "1", "a")),
        ({}, {"PGHOST": HOST, "PGPORT": "2", "PGUSER": "b"}, (HOST, "2", "b")),
    ],
)
def test_what_a_token_is_for(
    parameters: dict[str, str], variables: dict[str, str], expected: tuple[str, ...]
) -> None:
    """The URL, and libpq's variables for what it leaves out."""
    token = rds_token(parameters, variables)

    assert (token.host, token.port, token.user) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"host": HOST},
        {"user": "a"},
        {"host": "a,b", "user": "a"},
        {"host": "/run/postgresql", "user": "a"},
        {"service": "shop"},
    ],
)
def test_what_no_token_is_for(parameters: dict[str, str]) -> None:
    """A token names one user of one server."""
    with pytest.raises(UsageError, match="name both"):
        rds_token(parameters, {})


def web_identity(tmp_path: Path, endpoint: str) -> dict[str, str]:
    """What EKS puts into a pod whose service account has a role."""
    (tmp_path / "token").write_text("header.claims.signature\n")
    return {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ENDPOINT_URL_STS": endpoint,
    }


def test_keys_of_a_service_account(tmp_path: Path) -> None:
    """IRSA: the pod's token is exchanged at STS, each time again."""
    with serving(lambda _: (200, ANSWER)) as sts:
        found = keys(web_identity(tmp_path, sts.url), "eu-central-1")

    (asked,) = sts.asked
    assert found == Keys("ASIA1", "secret/1+", "token//1==")
    assert (asked.method, asked.path) == ("POST", "/")
    assert parse_qs(asked.body) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "Version": ["2011-06-15"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["migrator"],
        "WebIdentityToken": ["header.claims.signature"],
    }


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody knows yet, and the server's side of it."""
    key, path = tmp_path / "key", tmp_path / "certificate"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=sts -days 2"
    names = "-addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        f"{command} {names} -keyout {key} -out {path}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context


def test_sts_over_tls(
    tmp_path: Path,
    certificate: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its certificate has to be known: the token would be anybody's otherwise."""
    path, context = certificate
    with serving(lambda _: (200, ANSWER), context) as sts:
        environ = web_identity(tmp_path, sts.url)
        with pytest.raises(PasswordUnavailableError, match="certificate verify failed"):
            keys(environ, "eu-central-1")
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        found = keys(environ, "eu-central-1")

    assert found.access == "ASIA1"
    assert len(sts.asked) == 1


def test_sts_is_asked_as_aws_asks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS's library sends the same form."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    session = botocore.session.get_session()
    with serving(lambda _: (200, ANSWER)) as sts:
        keys(web_identity(tmp_path, sts.url), "eu-central-1")
        client: Any = session.create_client(
            "sts",
            region_name="eu-central-1",
            endpoint_url=sts.url,
            config=Config(signature_version=UNSIGNED),
        )
        client.assume_role_with_web_identity(
            RoleArn=ROLE,
            RoleSessionName="migrator",
            WebIdentityToken="header.claims.signature",
        )

    ours, theirs = (
        (asked.method, asked.path, parse_qs(asked.body)) for asked in sts.asked
    )
    assert ours == theirs


def agent(token: str = "") -> Iterator[Server]:
    """The agent beside a pod, which may ask for a token."""
    body = {
        "AccessKeyId": "ASIA2",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-01-01T00:00:00Z",
    }

    def answer(asked: Asked) -> tuple[int, str]:
        if asked.headers.get("authorization", "") != token:
            return 401, json.dumps({"code": "Denied", "message": "no token"})
        return 200, json.dumps(body)

    with serving(answer) as server:
        yield server


@pytest.fixture
def open_agent() -> Iterator[Server]:
    """One that answers everybody."""
    yield from agent()


@pytest.fixture
def closed_agent() -> Iterator[Server]:
    """One that wants a token."""
    yield from agent("pod.token")


def test_keys_of_an_agent(open_agent: Server) -> None:
    """ECS: a URL beside the container."""
    url = f"{open_agent.url}/v2/credentials?id=1"

    found = keys({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "eu-central-1")

    assert found == Keys("ASIA2", "secret", "token")
    assert open_agent.asked == [Asked("GET", "/v2/credentials?id=1", "", {})]


def test_keys_of_an_agent_with_a_token(closed_agent: Server, tmp_path: Path) -> None:
    """EKS Pod Identity: the token's file counts, before a token that is written out."""
    (tmp_path / "token").write_text("pod.token")
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{closed_agent.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "another",
    }

    assert keys(environ, "eu-central-1") == Keys("ASIA2", "secret", "token")


def test_an_agent_that_refuses_is_reported(closed_agent: Server) -> None:
    """The error has what the agent answered."""
    url = f"{closed_agent.url}/v1/credentials"

    with pytest.raises(PasswordUnavailableError) as caught:
        keys({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "eu-central-1")

    assert str(caught.value) == (
        "no password: the credentials agent answered 401: Denied: no token"
    )
    assert not caught.value.silent


def test_keys_go_over_the_network_encrypted_only() -> None:
    """Plain HTTP is for the addresses that AWS names."""
    url = "http://credentials.example.com/"

    with pytest.raises(UsageError, match="write https://"):
        keys({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "eu-central-1")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            403,
            DENIED,
            "STS answered 403: AccessDenied: Not authorized to perform",
        ),
        (503, "<html>", "STS answered 503: Service Unavailable"),
        (200, "<a/>", "STS answered without credentials"),
        (200, "not XML", "STS answered without credentials"),
    ],
)
def test_answers_without_keys(
    tmp_path: Path, status: int, body: str, reason: str
) -> None:
    """A fault of the server's own is no answer: it may pass."""
    with (
        serving(lambda _: (status, body)) as sts,
        pytest.raises(PasswordUnavailableError) as caught,
    ):
        keys(web_identity(tmp_path, sts.url), "eu-central-1")

    assert str(caught.value).startswith(f"no password: {reason}")
    assert caught.value.silent is (status == 503)


def test_sts_unreachable_has_no_password(tmp_path: Path) -> None:
    """That may pass."""
    with serving(lambda _: (200, "")) as sts:
        url = sts.url

    with pytest.raises(PasswordUnavailableError) as caught:
        keys(web_identity(tmp_path, url), "eu-central-1")

    assert str(caught.value).endswith("does not answer: Connection refused")
    assert caught.value.silent


def test_a_missing_token_file(tmp_path: Path) -> None:
    """It is named."""
    environ = web_identity(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "token").unlink()

    with pytest.raises(
        PasswordUnavailableError, match="token: No such file or directory"
    ):
        keys(environ, "eu-central-1")


def test_no_keys_at_all() -> None:
    """The error names the ways to have some."""
    with pytest.raises(UsageError, match="IRSA or EKS Pod Identity"):
        keys({"AWS_ACCESS_KEY_ID": "alone"}, "eu-central-1")


UNUSABLE = [
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:0/",
    "http://[::1/",
    "http:///x",
    "ftp://127.0.0.1/",
    "nope",
    "http://user:word@127.0.0.1:1/",
    "http://127.0.0.1:1/a b",
    "http://127.0.0.1:1/ä",
    f"https://{'a' * 64}.example/",
    "https://a..b/",
]
URL = "write a URL such as https://host:443/path, with a port of at most 65535"
WEB_IDENTITY = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/hostname"}


@pytest.mark.parametrize("url", UNUSABLE)
@pytest.mark.parametrize(
    ("variable", "more"),
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", {}),
        ("AWS_ENDPOINT_URL_STS", WEB_IDENTITY),
    ],
)
def test_a_url_that_cannot_be_asked_is_a_fault_of_its_variable(
    variable: str, more: dict[str, str], url: str
) -> None:
    """It is no bug of ours, and time does not heal it."""
    with pytest.raises(UsageError) as caught:
        keys({**more, variable: url}, "eu-central-1")

    assert str(caught.value) == f"{variable}: {URL}"


@pytest.mark.parametrize("path", [":99999/x", "@127.0.0.1/", "x"])
def test_a_relative_uri_is_a_path(path: str) -> None:
    """It cannot name another host or port."""
    with pytest.raises(UsageError) as caught:
        keys({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path}, "eu-central-1")

    assert str(caught.value) == (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: write a path that begins with /"
    )


@pytest.mark.parametrize("region", ["us east", "x:99999", "a" * 80, "a/b@c"])
def test_what_is_no_region_is_a_fault(region: str) -> None:
    """STS's address is made of it."""
    with pytest.raises(UsageError) as caught:
        keys({**WEB_IDENTITY, "AWS_REGION": region}, "eu-central-1")

    assert str(caught.value) == "AWS_REGION: write a region such as eu-central-1"


def test_a_token_of_two_lines_is_no_header() -> None:
    """Nothing is asked with it."""
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\nb: c",
    }

    with pytest.raises(PasswordUnavailableError, match="not a line of ASCII text"):
        keys(environ, "eu-central-1")

"""Tokens of AWS, Google and Microsoft, with stand-ins of the services that they ask."""

import json
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from migrator.credentials.cloud_token import login_of
from migrator.errors import UsageError
from tests.helpers.http_server import Answering, Asked, serving
from tests.helpers.support import ROOT


HOST = "shop.abcdef123456.eu-central-1.rds.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/shop"
STATIC = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/K7+MD"}
NOWHERE = "http://127.0.0.1:1"
LATER = "2099-01-01T00:00:00Z"

PROGRAM = """\
import json, sys
sys.modules.update(dict.fromkeys(sys.argv[3:]))
from migrator.credentials.cloud_token import cloud_token
from migrator.errors import PasswordUnavailableError, UsageError
try:
    outcome = "token", cloud_token(sys.argv[1], {"host": sys.argv[2], "user": "app"}, {})()
except UsageError as error:
    outcome = "usage", str(error)
except PasswordUnavailableError as error:
    outcome = "silent" if error.silent else "refused", str(error)
print(json.dumps(outcome))
"""


class Outcome(NamedTuple):
    """What a provider has come to: `token`, `usage`, `silent`, `refused`; and a text."""

    kind: str
    text: str


def ask(
    provider: str,
    environ: Mapping[str, str],
    host: str = HOST,
    *,
    missing: tuple[str, ...] = (),
) -> Outcome:
    """Ask in a process of its own: the libraries read variables when they are loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, provider, host, *missing],
        cwd=ROOT,
        env={"HOME": "/nonexistent", "PATH": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    return Outcome(*json.loads(done.stdout))


def aws(environ: Mapping[str, str], host: str = HOST) -> Outcome:
    """Ask for a token of AWS, on a machine that is no instance of theirs."""
    disabled = {"AWS_EC2_METADATA_DISABLED": "true"}
    return ask("rds-iam", {**disabled, **environ}, host)


def signed(outcome: Outcome) -> dict[str, str]:
    """What AWS's token says."""
    assert outcome.kind == "token"
    return dict(parse_qsl(urlsplit(f"https://{outcome.text}").query))


def key_of(outcome: Outcome) -> tuple[str, str | None]:
    """Who has signed AWS's token, and the session's token."""
    said = signed(outcome)
    return said["X-Amz-Credential"].split("/")[0], said.get("X-Amz-Security-Token")


@pytest.mark.parametrize(
    ("provider", "extra", "library"),
    [
        ("rds-iam", "aws", "botocore"),
        ("cloudsql-iam", "gcp", "google.auth"),
        ("cloudsql-iam", "gcp", "requests"),
        ("entra", "azure", "azure.identity"),
    ],
)
def test_a_provider_without_its_extra_says_how_to_get_it(
    provider: str, extra: str, library: str
) -> None:
    """The image has none of them unless it is built so."""
    assert ask(provider, {}, missing=(library,)) == (
        "usage",
        (
            f"MIGRATOR_PASSWORD_PROVIDER={provider} needs the extra {extra}: build the image"
            f" with --build-arg EXTRAS={extra}, or install migrator[{extra}]"
        ),
    )


def test_a_token_is_for_one_user_of_one_server() -> None:
    """RDS's own names of both are in it, and it is valid for 15 minutes."""
    outcome = aws(STATIC)

    said = signed(outcome)
    assert outcome.text.startswith(f"{HOST}:5432/?")
    assert {name: said[name] for name in ("Action", "DBUser", "X-Amz-Expires")} == {
        "Action": "connect",
        "DBUser": "app",
        "X-Amz-Expires": "900",
    }


@pytest.mark.parametrize(
    ("host", "variables", "region"),
    [
        (HOST, {}, "eu-central-1"),
        (f"{HOST}.cn", {}, "eu-central-1"),
        ("shop.proxy-abc.us-east-1.rds.amazonaws.com", {}, "us-east-1"),
        (HOST, {"AWS_REGION": "us-west-2"}, "eu-central-1"),
        ("db.internal", {"AWS_REGION": "us-west-2"}, "us-west-2"),
        ("db.internal", {"AWS_DEFAULT_REGION": "us-west-1"}, "us-west-1"),
    ],
)
def test_the_region_is_the_servers(
    host: str, variables: dict[str, str], region: str
) -> None:
    """The pod's own may be another one."""
    said = signed(aws({**STATIC, **variables}, host))

    assert said["X-Amz-Credential"].split("/")[2:] == [region, "rds-db", "aws4_request"]


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
    assert login_of(parameters, variables) == expected


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
        login_of(parameters, {})


STS_ANSWER = f"""\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <AccessKeyId>ASIA1</AccessKeyId>
      <SecretAccessKey>secret/1+</SecretAccessKey>
      <SessionToken>token//1==</SessionToken>
      <Expiration>{LATER}</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""
STS_DENIED = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>
  </Error>
</ErrorResponse>
"""


def web_identity(tmp_path: Path, endpoint: str) -> dict[str, str]:
    """What EKS puts into a pod whose service account has a role."""
    (tmp_path / "token").write_text("header.claims.signature\n")
    return {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ENDPOINT_URL_STS": endpoint,
    }


def test_keys_of_a_service_account(tmp_path: Path) -> None:
    """IRSA: the pod's token is exchanged at STS."""
    with serving(lambda _: (200, STS_ANSWER)) as sts:
        outcome = aws(web_identity(tmp_path, sts.url))

    (asked,) = sts.asked
    form = parse_qs(asked.body)
    assert key_of(outcome) == ("ASIA1", "token//1==")
    assert form["RoleArn"] == [ROLE]
    assert form["WebIdentityToken"][0].strip() == "header.claims.signature"


def answering_keys(asked: Asked) -> tuple[int, str]:
    """The metadata service of an EC2 instance, version 2, whose role is `shop`."""
    root = "/latest/meta-data/iam/security-credentials/"
    keys = {
        "Code": "Success",
        "AccessKeyId": "ASIA2",
        "SecretAccessKey": "secret",
        "Token": "token2",
        "Expiration": LATER,
    }
    answers = {
        ("PUT", "/latest/api/token"): "session",
        ("GET", root): "shop",
        ("GET", f"{root}shop"): json.dumps(keys),
        ("GET", "/v1/credentials"): json.dumps(keys),
    }
    text = answers.get((asked.method, asked.path))
    return (404, "") if text is None else (200, text)


def test_keys_of_the_instances_role() -> None:
    """EC2, and a pod that may ask the metadata of its node."""
    with serving(answering_keys) as imds:
        environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        outcome = ask("rds-iam", environ)

    assert key_of(outcome) == ("ASIA2", "token2")
    assert imds.asked[-1].headers["x-aws-ec2-metadata-token"] == "session"


def test_keys_of_an_agent_with_a_token(tmp_path: Path) -> None:
    """EKS Pod Identity: it wants to see the token of a file."""
    (tmp_path / "token").write_text("pod.token")
    with serving(answering_keys) as agent:
        outcome = aws(
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            }
        )

    assert key_of(outcome) == ("ASIA2", "token2")
    assert agent.asked[-1].headers["authorization"] == "pod.token"


def test_keys_of_a_profile(tmp_path: Path) -> None:
    """A developer's own, with the region that it names."""
    path = tmp_path / "config"
    path.write_text(
        "[profile shop]\nregion = us-west-2\n"
        "aws_access_key_id = AKPROFILE\naws_secret_access_key = s\n"
    )

    environ = {"AWS_CONFIG_FILE": str(path), "AWS_PROFILE": "shop"}
    outcome = aws(environ, "db.internal")

    assert signed(outcome)["X-Amz-Credential"].split("/")[::2] == [
        *("AKPROFILE", "us-west-2", "aws4_request")
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (403, STS_DENIED, "refused", "Not authorized to perform"),
        (400, STS_DENIED.replace("AccessDenied", "Throttling"), "silent", "Throttling"),
        (429, STS_DENIED, "silent", "AccessDenied"),
        (503, "<html>", "silent", "503"),
        (200, STS_ANSWER[:-99], "silent", "cannot be read (ResponseParserError)"),
    ],
)
def test_sts_without_keys(
    tmp_path: Path, status: int, body: str, kind: str, text: str
) -> None:
    """A fault of the server's own is no answer: it may pass."""
    with serving(lambda _: (status, body)) as sts:
        outcome = aws(web_identity(tmp_path, sts.url))

    assert outcome.kind == kind
    assert text in outcome.text
    assert "secret/1+" not in outcome.text


def test_sts_that_does_not_answer_may_later(tmp_path: Path) -> None:
    """Nobody listens there."""
    outcome = aws(web_identity(tmp_path, NOWHERE))

    assert outcome == (
        "silent",
        (
            "no password: EndpointConnectionError: Could not connect to the endpoint URL:"
            f' "{NOWHERE}/"'
        ),
    )


def test_an_agent_that_refuses_is_reported() -> None:
    """The error has what the agent answered."""
    with serving(lambda _: (401, '{"code": "Denied"}')) as agent:
        outcome = aws(
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/v1/credentials"}
        )

    assert outcome.kind == "refused"
    assert outcome.text.endswith('401 from container metadata: {"code": "Denied"}')


def test_an_agent_without_keys_is_reported() -> None:
    """What it answers is nothing to sign with."""
    with serving(lambda _: (200, "{}")) as agent:
        outcome = aws({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/"})

    assert outcome == (
        "silent",
        "no password: an answer that cannot be read (KeyError)",
    )


def test_no_keys_at_all() -> None:
    """The instance's metadata may answer later."""
    assert aws({}) == (
        "silent",
        "no password: NoCredentialsError: Unable to locate credentials",
    )


@pytest.mark.parametrize(
    ("host", "environ", "text"),
    [
        ("db.internal", STATIC, "set AWS_REGION"),
        ("db.internal", {**STATIC, "AWS_REGION": "us east"}, "us east"),
        (HOST, {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be"),
        (HOST, {"AWS_ACCESS_KEY_ID": "alone"}, "missing: AWS_SECRET_ACCESS_KEY"),
        (
            HOST,
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://a.example/"},
            "a.example",
        ),
        (
            HOST,
            {
                "AWS_ROLE_ARN": ROLE,
                "AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/hostname",
                "AWS_ENDPOINT_URL_STS": "nope",
            },
            "Invalid endpoint: nope",
        ),
    ],
)
def test_what_aws_cannot_use_is_a_fault_of_the_environment(
    host: str, environ: dict[str, str], text: str
) -> None:
    """Time does not heal it."""
    outcome = aws(environ, host)

    assert outcome.kind == "usage"
    assert text in outcome.text


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    """Whoever writes it may be late."""
    environ = web_identity(tmp_path, NOWHERE)
    (tmp_path / "token").unlink()

    outcome = aws(environ)

    assert outcome.kind == "refused"
    assert outcome.text.endswith(f"No such file or directory: '{tmp_path}/token'")


SQL_LOGIN = "https://www.googleapis.com/auth/sqlservice.login"


def google_metadata(asked: Asked) -> tuple[int, str]:
    """The metadata service of Google Cloud, also of a pod with a service account."""
    root = "/computeMetadata/v1"
    email = "shop@project.iam.gserviceaccount.com"
    account = f"{root}/instance/service-accounts"
    token = json.dumps(
        {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}
    )
    answers = {
        "/": "",
        f"{root}/project/project-id": "project",
        f"{account}/default/": json.dumps({"email": email, "scopes": []}),
        f"{account}/default/token": token,
        f"{account}/{email}/token": token,  # asked by older ones
    }
    text = answers.get(urlsplit(asked.path).path)
    return (404, "") if text is None else (200, text)


def gcp(url: str = "", **environ: str) -> Outcome:
    """Ask for a token of Google, whose metadata are at *url*, or nowhere."""
    place = urlsplit(url).netloc
    metadata = {"GCE_METADATA_HOST": place, "GCE_METADATA_IP": place}
    return ask(
        "cloudsql-iam",
        {**(metadata if url else {"NO_GCE_CHECK": "true"}), **environ},
    )


def test_a_token_of_googles_metadata() -> None:
    """GKE's Workload Identity, and an instance's service account."""
    with serving(google_metadata) as metadata:
        outcome = gcp(metadata.url)

    assert outcome == ("token", "ya29.token")
    assert parse_qs(urlsplit(metadata.asked[-1].path).query) == {"scopes": [SQL_LOGIN]}


def test_google_metadata_without_an_account_refuse() -> None:
    """An instance need not have one."""

    def no_account(asked: Asked) -> tuple[int, str]:
        return (404, "none") if "accounts" in asked.path else google_metadata(asked)

    with serving(no_account) as metadata:
        outcome = gcp(metadata.url)

    assert outcome.kind == "refused"
    assert "Status: 404" in outcome.text


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The key of a service account."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "project",
                "private_key_id": "1",
                "private_key": pem.decode(),
                "client_email": "shop@project.iam.gserviceaccount.com",
                "token_uri": "TOKEN_URI",
            }
        )
    )
    return path


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (
            200,
            '{"access_token": "ya29.key", "expires_in": 3599}',
            ("token", "ya29.key"),
        ),
        (
            400,
            '{"error": "invalid_grant", "error_description": "Invalid JWT"}',
            ("refused", "no password: RefreshError: ('invalid_grant: Invalid JWT'"),
        ),
        (
            403,
            '{"error": "temporarily_unavailable"}',
            ("silent", "no password: RefreshError: ('temporarily_unavailable"),
        ),
    ],
)
def test_a_token_for_a_service_accounts_key(
    account: Path, status: int, answer: str, expected: tuple[str, str]
) -> None:
    """The key is exchanged at Google's token service."""
    with serving(lambda _: (status, answer)) as tokens:
        account.write_text(account.read_text().replace("TOKEN_URI", tokens.url))
        outcome = gcp(GOOGLE_APPLICATION_CREDENTIALS=str(account))

    assert outcome.kind == expected[0]
    assert outcome.text.startswith(expected[1])


def test_a_token_service_of_google_that_does_not_answer(account: Path) -> None:
    """It may later."""
    account.write_text(account.read_text().replace("TOKEN_URI", NOWHERE))

    outcome = gcp(GOOGLE_APPLICATION_CREDENTIALS=str(account))

    assert outcome.kind == "silent"
    assert "TransportError" in outcome.text


def test_nothing_of_google_at_all() -> None:
    """The metadata may answer later."""
    outcome = gcp()

    assert outcome.kind == "silent"
    assert "default credentials were not found" in outcome.text


def test_a_file_for_google_that_cannot_be_used(tmp_path: Path) -> None:
    """Missing, it may come; a file of another kind will not change."""
    path = tmp_path / "key.json"
    missing = gcp(GOOGLE_APPLICATION_CREDENTIALS=str(path))
    path.write_text("{}")
    other = gcp(GOOGLE_APPLICATION_CREDENTIALS=str(path))

    assert (missing.kind, other.kind) == ("refused", "refused")
    assert f"File {path} was not found" in missing.text


def entra(**environ: str) -> Outcome:
    """Ask for a token of Entra, on a machine that is no virtual one of Azure's."""
    return ask("entra", {"AZURE_POD_IDENTITY_AUTHORITY_HOST": NOWHERE, **environ})


RESOURCE = "https://ossrdbms-aad.database.windows.net"


def azure_identity(asked: Asked) -> tuple[int, str]:
    """The endpoint of a managed identity."""
    granted = {
        "access_token": "ey.token",
        "expires_in": "86400",
        "expires_on": "4070908800",
        "resource": RESOURCE,
        "token_type": "Bearer",
    }
    return 200, json.dumps(granted)


def test_a_token_of_a_managed_identity() -> None:
    """Of a container app: it wants to see the header that the environment names."""
    with serving(azure_identity) as endpoint:
        outcome = entra(IDENTITY_ENDPOINT=f"{endpoint.url}/msi", IDENTITY_HEADER="id")

    (asked,) = endpoint.asked
    assert outcome == ("token", "ey.token")
    assert asked.headers["x-identity-header"] == "id"
    assert parse_qs(urlsplit(asked.path).query)["resource"] == [RESOURCE]


def test_a_token_of_a_virtual_machines_identity() -> None:
    """Azure's metadata service."""
    with serving(azure_identity) as metadata:
        outcome = entra(AZURE_POD_IDENTITY_AUTHORITY_HOST=metadata.url)

    assert outcome == ("token", "ey.token")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody knows yet, and the server's side of it."""
    key, path = tmp_path / "key", tmp_path / "certificate"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=entra -days 2"
    names = "-addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        f"{command} {names} -keyout {key} -out {path}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context


def workload_identity(
    answer: Answering, tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> tuple[Outcome, list[Asked]]:
    """What comes of what AKS puts into a pod, and what Entra was asked."""
    path, context = certificate
    (tmp_path / "token").write_text("header.claims.signature")
    with serving(answer, context) as service:
        outcome = entra(
            AZURE_AUTHORITY_HOST=service.url,
            AZURE_TENANT_ID="tenant",
            AZURE_CLIENT_ID="client",
            AZURE_FEDERATED_TOKEN_FILE=str(tmp_path / "token"),
            REQUESTS_CA_BUNDLE=str(path),
        )
    return outcome, service.asked


def test_a_token_of_a_workload_identity(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """The pod's token is exchanged at Entra, over TLS."""
    outcome, asked = workload_identity(azure_identity, tmp_path, certificate)

    form = parse_qs(asked[-1].body)
    assert outcome == ("token", "ey.token")
    assert asked[-1].path == "/tenant/oauth2/v2.0/token"
    assert form["client_assertion"] == ["header.claims.signature"]
    assert form["scope"] == [f"{RESOURCE}/.default"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            400,
            '{"error": "invalid_request", "error_description": "AADSTS70021: No match"}',
            "refused",
            "AADSTS70021: No match",
        ),
        (
            400,
            '{"error": "temporarily_unavailable", "error_description": "AADSTS90033"}',
            "silent",
            "AADSTS90033",
        ),
        (503, "", "silent", "WorkloadIdentityCredential"),
    ],
)
def test_entra_without_a_token(
    tmp_path: Path,
    certificate: tuple[Path, ssl.SSLContext],
    status: int,
    body: str,
    kind: str,
    text: str,
) -> None:
    """Its own codes say that it refuses; a fault of the server's own may pass."""
    outcome, _ = workload_identity(lambda _: (status, body), tmp_path, certificate)

    assert outcome.kind == kind
    assert text in outcome.text
    assert "header.claims" not in outcome.text


def test_nothing_of_azure_at_all() -> None:
    """The metadata may answer later; what was tried is said, as far as it fits."""
    outcome = entra()

    assert outcome.kind == "silent"
    assert "ManagedIdentityCredential" in outcome.text
    assert len(outcome.text) < 1100


def test_an_authority_that_is_no_url_is_a_fault_of_the_environment() -> None:
    """Time does not heal it."""
    outcome = entra(AZURE_AUTHORITY_HOST="http://login.example")

    assert outcome.kind == "usage"
    assert (
        "MIGRATOR_PASSWORD_PROVIDER=entra: 'http://login.example' is an" in outcome.text
    )

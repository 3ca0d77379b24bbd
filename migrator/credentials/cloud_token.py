"""
Tokens in place of passwords, from the libraries of AWS, Google and Microsoft.

Each library is an extra of the package, and looks for credentials wherever its cloud
puts them. It also retries: that is left to MIGRATOR_CONNECT_WAIT as far as it can be.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from migrator.credentials import Password
from migrator.credentials.file_or_command import shorten
from migrator.errors import MigratorError, PasswordUnavailableError, UsageError


TIMEOUT_S = 10
"""How long a server may take to be connected, and for each piece of its answer."""

_SERVER_ERROR = 500
_THROTTLED = 429
# Cloud SQL, "IAM database authentication", and Azure Database for PostgreSQL, "Use
# Microsoft Entra ID for authentication"
_CLOUD_SQL = "https://www.googleapis.com/auth/sqlservice.login"
_ENTRA = "https://ossrdbms-aad.database.windows.net/.default"


class Login(NamedTuple):
    """Who asks for a token, and for which server."""

    host: str
    port: str
    user: str


def cloud_token(
    provider: str, parameters: Mapping[str, str], environ: Mapping[str, str]
) -> Password:
    """
    Return the source of tokens of *provider*, as MIGRATOR_PASSWORD_PROVIDER names it.

    Raises:
        UsageError: As `login_of`, where a token is for one server.
    """
    ask = _OTHERS.get(provider) or partial(rds_iam, login_of(parameters, environ))

    def token() -> str:
        with _translating(provider):
            return ask()

    return token


def login_of(parameters: Mapping[str, str], environ: Mapping[str, str]) -> Login:
    """
    Return what libpq's *parameters* and PG* variables name.

    Raises:
        UsageError: They name no user, or not exactly one host.
    """
    host = parameters.get("host") or environ.get("PGHOST", "")
    port = parameters.get("port") or environ.get("PGPORT") or "5432"
    user = parameters.get("user") or environ.get("PGUSER", "")
    if not host or not user or "," in host or host.startswith("/"):
        raise UsageError(
            "MIGRATOR_PASSWORD_PROVIDER=rds-iam: a token is for one user of one server;"
            " name both, as in postgresql://user@host:5432/dbname"
        )
    return Login(host, port, user)


def rds_iam(login: Login) -> str:
    """
    Return a token of AWS's IAM for RDS and Aurora, valid for 15 minutes.

    It is signed for the region in the server's name: our own may be another one.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - extra
    from botocore.session import Session  # noqa: PLC0415

    session = Session()
    try:
        # AWS's other libraries know AWS_REGION, botocore does not
        own = os.environ.get("AWS_REGION") or session.get_config_variable("region")
        region = _region(login.host) or own
        if region is None:
            raise UsageError(_NO_REGION.format(login.host))
        session.set_config_variable("region", own or region)
        session.set_default_client_config(_limits())
        client = session.create_client("rds", region_name=region)
        return str(client.generate_db_auth_token(*login))
    except (BotoCoreError, ClientError) as error:
        raise _aws_error(error) from error


def _limits() -> Any:
    from botocore.config import Config  # noqa: PLC0415 - an extra

    once = {"total_max_attempts": 1}
    return Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries=once)


def _aws_error(error: Exception) -> Exception:
    from botocore import exceptions as said  # noqa: PLC0415 - an extra

    match error:
        case said.ClientError():
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            # STS throttles with 400 (its "Common Errors")
            throttled = status == _THROTTLED or "Throttl" in str(error)
            silent = throttled or status >= _SERVER_ERROR
            return _unavailable(error, silent=silent)
        case said.CredentialRetrievalError():
            refused = "non 200 response 4" in str(error)  # ContainerMetadataFetcher
            return _unavailable(error, silent=not refused)
        case (
            said.ConnectionError() | said.HTTPClientError() | said.NoCredentialsError()
        ):
            # none at all: the instance's metadata do not answer
            return _unavailable(error, silent=True)
        case (
            said.ConfigNotFound()
            | said.ConfigParseError()
            | said.InvalidConfigError()
            | said.InvalidRegionError()
            | said.PartialCredentialsError()
            | said.ProfileNotFound()
        ):
            return ValueError(error)
        case _:
            return _unavailable(error, silent=False)


def _region(host: str) -> str | None:
    found = _RDS.fullmatch(host)
    return found and found[1]


_RDS = re.compile(r"[\w.-]+\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?\.?")
_NO_REGION = (
    "the host {} does not name its region: use RDS's own name of the server, or set"
    " AWS_REGION"
)


def cloudsql_iam() -> str:
    """Return a token of Google's IAM for Cloud SQL, valid for an hour at most."""
    import google.auth  # noqa: PLC0415 - an extra
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415
    from google.auth.transport.requests import Request  # noqa: PLC0415

    request: Any = partial(Request(), timeout=TIMEOUT_S)
    credentials: Any
    try:
        credentials, _ = google.auth.default([_CLOUD_SQL], request)
        credentials.refresh(request)
    except GoogleAuthError as error:
        # with an answer it has two arguments: compute_engine/_metadata.py, get
        no_answer = any(
            isinstance(each, TransportError) and len(each.args) == 1
            for each in (error, error.__cause__)
        )
        none = "default credentials were not found" in str(error)
        silent = error.retryable or no_answer or none
        raise _unavailable(error, silent=silent) from error
    return str(credentials.token)


def entra() -> str:
    """Return a token of Microsoft Entra for Azure Database for PostgreSQL."""
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - an extra
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415

    limits = {"connection_timeout": TIMEOUT_S, "read_timeout": TIMEOUT_S}
    try:
        with DefaultAzureCredential(retry_total=0, **limits) as credential:
            return credential.get_token(_ENTRA).token
    except AzureError as error:
        # of the errors of all sources it keeps the texts; Entra's own have a code
        codes = set(re.findall(r"AADSTS\d+", str(error)))
        raise _unavailable(error, silent=codes <= _TRANSIENT) from error


# Microsoft, "Microsoft Entra authentication and authorization error codes"
_TRANSIENT = {"AADSTS50196", "AADSTS90033"}  # a loop, and a transient error
_OTHERS: Mapping[str, Password] = {"cloudsql-iam": cloudsql_iam, "entra": entra}
_EXTRAS = {"rds-iam": "aws", "cloudsql-iam": "gcp", "entra": "azure"}
_LOGGERS = ("azure", "botocore", "google", "msal", "urllib3")


@contextmanager
def _translating(provider: str) -> Iterator[None]:
    """Turn what a library raises into our errors, and keep it from logging."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    except MigratorError:
        raise
    except ImportError as error:
        raise UsageError(_MISSING.format(provider, _EXTRAS[provider])) from error
    except ValueError as error:  # of a URL, a name or a file that it cannot use
        text = f"MIGRATOR_PASSWORD_PROVIDER={provider}: {_one_line(error)}"
        raise UsageError(text) from error
    except OSError as error:
        raise _unavailable(error, silent=False) from error
    except Exception as error:  # noqa: BLE001 - whatever an answer makes a library raise
        # KeyError, say; botocore's ResponseParserError has all of the answer in it
        text = f"an answer that cannot be read ({type(error).__name__})"
        raise PasswordUnavailableError(text, silent=True) from None


_MISSING = (
    "MIGRATOR_PASSWORD_PROVIDER={0} needs the extra {1}: build the image with"
    " --build-arg EXTRAS={1}, or install migrator[{1}]"
)


def _unavailable(error: Exception, *, silent: bool) -> PasswordUnavailableError:
    text = f"{type(error).__name__}: {_one_line(error)}"
    return PasswordUnavailableError(text, silent=silent)


def _one_line(error: Exception) -> str:
    return shorten(" ".join(str(error).split()).rstrip("."), _MOST_SHOWN)


_MOST_SHOWN = 1000

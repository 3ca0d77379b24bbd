"""
Keys of AWS, from where its own libraries look for them in a container.

AWS SDKs and Tools Reference Guide, "Standardized credential providers": environment
variables, then web identity (IRSA), then a container's endpoint (EKS Pod Identity and
ECS). Shared configuration files and the instance's own role are not asked.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from migrator.credentials.sigv4 import Keys
from migrator.domain.urls import http_url
from migrator.errors import PasswordUnavailableError, UsageError
from migrator.process.http import Response, error_reason, send_request


TIMEOUT_S = 10.0
_OK = 200
_SERVER_ERROR = 500
_ECS = "http://169.254.170.2"
# "Container credential provider": where plain HTTP may go
_PLAIN_HOSTS = frozenset(
    ("localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
)
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_NO_KEYS = (
    "there are no AWS credentials: give the pod's service account a role (IRSA or EKS"
    " Pod Identity), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)


def region_of(environ: Mapping[str, str]) -> str | None:
    """
    Return the region that the environment names.

    Raises:
        UsageError: It is no name of a region.
    """
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = environ.get(name)
        if region:
            if not _REGION.fullmatch(region):
                raise UsageError(f"{name}: write a region such as eu-central-1")
            return region
    return None


def keys(environ: Mapping[str, str], region: str) -> Keys:
    """
    Return the keys that *environ* has or leads to; *region* is for asking STS.

    Raises:
        PasswordUnavailableError: Who was asked does not answer, or says no.
        UsageError: There is nobody to ask.
    """
    access, secret = (environ.get(name) for name in _VARIABLES)
    if access and secret:
        return Keys(access, secret, environ.get("AWS_SESSION_TOKEN") or None)
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        return _from_web_identity(environ, region_of(environ) or region)
    if url := _container_url(environ):
        return _from_container(url, environ)
    raise UsageError(_NO_KEYS)


_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def _from_web_identity(environ: Mapping[str, str], region: str) -> Keys:
    """Exchange the token of the pod's service account (STS API Reference)."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": environ["AWS_ROLE_ARN"],
        "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME") or "migrator",
        "WebIdentityToken": _text(environ["AWS_WEB_IDENTITY_TOKEN_FILE"]),
    }
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = f"https://sts.{region}.{domain}"
    if given := environ.get("AWS_ENDPOINT_URL_STS"):
        endpoint = _usable("AWS_ENDPOINT_URL_STS", given)
    answer = _request(
        endpoint,
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form),
    )
    found = _elements(answer.body)
    if answer.status != _OK:
        code, message = found.get("Code", ""), found.get("Message", "")
        raise _refusal_error("STS", answer, f"{code}: {message}".strip(": "))
    return _keys(found, "SessionToken", "STS")


def _elements(body: bytes) -> dict[str, str]:
    """Return the texts of an XML document by their elements' names."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - STS's, over TLS
    except ET.ParseError:
        return {}
    return {
        each.tag.rpartition("}")[2]: (each.text or "").strip() for each in root.iter()
    }


def _container_url(environ: Mapping[str, str]) -> str | None:
    if relative := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        if not relative.startswith("/"):
            raise UsageError(_RELATIVE)
        return _usable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", f"{_ECS}{relative}")
    given = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not given:
        return None
    url = _usable("AWS_CONTAINER_CREDENTIALS_FULL_URI", given)
    place = urlsplit(url)
    if place.scheme != "https" and place.hostname not in _PLAIN_HOSTS:
        raise UsageError(_PLAIN)
    return url


def _usable(variable: str, url: str) -> str:
    try:
        http_url(url)
    except ValueError as error:
        raise UsageError(f"{variable}: {_URL}") from error
    return url


_URL = "write a URL such as https://host:443/path, with a port of at most 65535"
_RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: write a path that begins with /"
_PLAIN = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI: plain HTTP is for the pod's own network only;"
    " write https://"
)


def _from_container(url: str, environ: Mapping[str, str]) -> Keys:
    """Ask the agent beside us ("Container credential provider")."""
    headers = {"Accept": "application/json"}
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if path := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = _text(path)
    if token:
        if not (token.isascii() and token.isprintable()):
            raise PasswordUnavailableError(
                "the authorization token is not a line of ASCII text"
            )
        headers["Authorization"] = token
    answer = _request(url, method="GET", headers=headers)
    found = _object(answer.body)
    if answer.status != _OK:
        said = f"{found.get('code', '')}: {found.get('message', '')}".strip(": ")
        raise _refusal_error("the credentials agent", answer, said)
    return _keys(found, "Token", "the credentials agent")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _keys(found: Mapping[str, Any], token: str, who: str) -> Keys:
    names = ("AccessKeyId", "SecretAccessKey", token)
    texts = [found.get(name) for name in names]
    if not all(isinstance(text, str) and text for text in texts):
        raise PasswordUnavailableError(f"{who} answered without credentials")
    return Keys(*map(str, texts))


def _request(url: str, **request: Any) -> Response:
    try:
        return send_request(url, timeout_s=TIMEOUT_S, **request)
    except OSError as error:
        place = urlsplit(url).netloc
        raise PasswordUnavailableError(
            f"{place} does not answer: {error_reason(error)}", silent=True
        ) from error


def _refusal_error(who: str, answer: Response, said: str) -> PasswordUnavailableError:
    text = said or answer.reason
    return PasswordUnavailableError(
        f"{who} answered {answer.status}: {text}",
        silent=answer.status >= _SERVER_ERROR,
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise PasswordUnavailableError(f"cannot read {path}: {reason}") from error

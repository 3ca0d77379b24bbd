"""
A URL signed with AWS Signature Version 4, its signature in the query.

AWS "Create a signed AWS API request"; botocore: auth.py, SigV4QueryAuth. AWS's library
takes 32 MB, half of what the image has now; the tests compare with it.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote


class Keys(NamedTuple):
    """Who signs."""

    access: str
    secret: str
    token: str | None = None
    """Of a session, where the keys are short-lived."""


def presigned(
    keys: Keys,
    *,
    host: str,
    query: Mapping[str, str],
    region: str,
    service: str,
    at: datetime,
    expires_s: int,
) -> str:
    """Return *host*, the path `/` and the signed query, for a GET; *at* is in UTC."""
    now = f"{at:%Y%m%dT%H%M%SZ}"
    scope = f"{at:%Y%m%d}/{region}/{service}/aws4_request"
    signed = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access}/{scope}",
        "X-Amz-Date": now,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.token:
        signed["X-Amz-Security-Token"] = keys.token
    request = ("GET", "/", _query(sorted(signed.items())), f"host:{host}\n", "host")
    canonical = "\n".join((*request, _digest("")))
    to_sign = "\n".join((_ALGORITHM, now, scope, _digest(canonical)))
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    return f"{host}/?{_query(signed.items())}&X-Amz-Signature={signature}"


_ALGORITHM = "AWS4-HMAC-SHA256"


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in pairs)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")

"""Sends one HTTP request, with a time limit."""

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple

from migrator.domain.urls import http_url


class Response(NamedTuple):
    """A server's response; a redirection is returned as one."""

    status: int
    reason: str
    body: bytes


_LIMIT_BYTES = 1 << 20
"""The rest of a larger body is not read; those that are expected are much smaller."""


def send_request(
    url: str,
    *,
    method: str,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Response:
    """
    Return the response of the server at *url*, http or https.

    *timeout_s* limits connecting and each read. Redirections are not followed and
    proxies are not used.

    Raises:
        OSError: No response in time, or not one in HTTP.
        ValueError: *url* or a header is invalid.
    """
    parts = http_url(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    with closing(kind(parts.hostname or "", parts.port, timeout=timeout_s)) as conn:
        try:
            conn.request(method, path, body=body, headers=dict(headers or {}))
            response = conn.getresponse()
            return Response(
                response.status, response.reason, response.read(_LIMIT_BYTES)
            )
        except HTTPException as error:
            raise OSError(f"the answer is not HTTP: {type(error).__name__}") from error


def error_reason(error: OSError) -> str:
    """Return the message of *error*, without its number."""
    return error.strerror or str(error) or type(error).__name__

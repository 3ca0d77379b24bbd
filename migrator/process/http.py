"""One HTTP request, bounded in time; imported when there is somebody to ask."""

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple

from migrator.domain.urls import http_url


class Response(NamedTuple):
    """What a server said; a redirection is an answer like any other."""

    status: int
    reason: str
    body: bytes


_MOST_BYTES = 1 << 20
"""More is not read: what is asked for here is smaller by far."""


def send_request(
    url: str,
    *,
    method: str,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Response:
    """
    Return what the server at *url*, http or https, answers.

    *timeout_s* is for connecting and for each piece of the answer. Neither redirections
    nor proxies are followed.

    Raises:
        OSError: Nobody answers in time, or not in HTTP.
        ValueError: It is no such URL, or a header is none.
    """
    place = http_url(url)
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    path = f"{place.path or '/'}{'?' if place.query else ''}{place.query}"
    with closing(kind(place.hostname or "", place.port, timeout=timeout_s)) as to:
        try:
            to.request(method, path, body=body, headers=dict(headers or {}))
            answer = to.getresponse()
            return Response(answer.status, answer.reason, answer.read(_MOST_BYTES))
        except HTTPException as error:
            raise OSError(f"the answer is not HTTP: {type(error).__name__}") from error


def error_reason(error: OSError) -> str:
    """Return what *error* says, without its number."""
    return error.strerror or str(error) or type(error).__name__

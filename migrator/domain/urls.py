"""Validates URLs and ports without connecting."""

import re
from urllib.parse import SplitResult, urlsplit


_VISIBLE = re.compile(r"[!-~]+")
_PORT = re.compile(r"\s*[0-9]{1,9}\s*")
_LAST_PORT = (1 << 16) - 1


def http_url(text: str) -> SplitResult:
    """
    Return the parts of an http or https URL that names a host and no user.

    Raises:
        ValueError: It is not one; nor with port 0 or above 65535, a label of the host's
            name with 0 or more than 63 characters, or a character that is not visible
            ASCII.
    """
    if not _VISIBLE.fullmatch(text):
        raise ValueError(_EXPECTED)
    url = urlsplit(text)
    has_host = url.hostname and "@" not in url.netloc
    if url.scheme not in {"http", "https"} or not has_host or url.port == 0:
        raise ValueError(_EXPECTED)
    (url.hostname or "").removesuffix(".").encode("idna")  # as getaddrinfo does
    return url


def check_ports(text: str) -> None:
    """
    Check that *text* is a list of ports with commas; an empty one is libpq's default.

    Raises:
        ValueError: One of them is not from 1 to 65535.
    """
    ports = [port for port in text.split(",") if port.strip()]
    if not all(_PORT.fullmatch(port) and 0 < int(port) <= _LAST_PORT for port in ports):
        raise ValueError(_PORTS.format(_LAST_PORT))


_EXPECTED = "write a URL such as https://host:443/path"
_PORTS = "a port is a number from 1 to {}"

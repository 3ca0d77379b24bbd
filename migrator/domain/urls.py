"""URLs and ports, as far as they can be wrong before anybody is asked."""

import re
from urllib.parse import SplitResult, urlsplit


_VISIBLE = re.compile(r"[!-~]+")
_PORT = re.compile(r"\s*[0-9]{1,9}\s*")
_LAST_PORT = (1 << 16) - 1


def http_url(text: str) -> SplitResult:
    """
    Return the parts of an http or https URL that names a host and no user.

    Raises:
        ValueError: It is none: also for port 0 and those above 65535, a label of the
            host's name with 0 or more than 63 characters, and any character but
            visible ASCII.
    """
    if not _VISIBLE.fullmatch(text):
        raise ValueError(_SHAPE)
    url = urlsplit(text)
    named = url.hostname and "@" not in url.netloc
    if url.scheme not in {"http", "https"} or not named or url.port == 0:
        raise ValueError(_SHAPE)
    (url.hostname or "").removesuffix(".").encode("idna")  # as getaddrinfo does
    return url


def check_ports(text: str) -> None:
    """
    Check that *text* is ports with commas between them; an empty one is libpq's.

    Raises:
        ValueError: One of them is not from 1 to 65535.
    """
    given = [port for port in text.split(",") if port.strip()]
    if not all(_PORT.fullmatch(port) and 0 < int(port) <= _LAST_PORT for port in given):
        raise ValueError(_PORTS.format(_LAST_PORT))


_SHAPE = "write a URL such as https://host:443/path"
_PORTS = "a port is a number from 1 to {}"

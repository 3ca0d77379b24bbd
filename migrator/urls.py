"""URLs of HTTP servers, as far as they can be wrong before anybody is asked."""

import re
from urllib.parse import SplitResult, urlsplit


_VISIBLE = re.compile(r"[!-~]+")


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


_SHAPE = "write a URL such as https://host:443/path"

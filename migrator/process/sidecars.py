"""
Stops sidecars when a run has ended: a proxy that keeps running keeps its Job alive.

istio's agent, Linkerd's proxy and the Cloud SQL proxy each stop after a POST.
Kubernetes stops native sidecars by itself.
"""

import re
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread

from migrator.domain.urls import http_url
from migrator.errors import MigratorError
from migrator.events.base import Event, Observer
from migrator.events.run import SidecarFailed, SidecarStopped
from migrator.process.cancellation import Cancellation
from migrator.sql.secrets import MASK


LIMIT_S = 2.0
"""The time limit for all requests together: they stay inside the pod."""

_SUCCESS = range(200, 300)


def stop_sidecars(
    urls: tuple[str, ...],
    observe: Observer,
    cancellation: Cancellation,
    *,
    limit_s: float = LIMIT_S,
) -> None:
    """
    Send a POST to each of *urls* at the same time, and report the results.

    It raises nothing, and returns after *limit_s* at most, or as soon as *cancellation*
    is requested.
    """
    calls = [_Call(url, limit_s) for url in urls]
    end = time.monotonic() + limit_s
    with suppress(MigratorError), cancellation.interruptible():
        for call in calls:
            with suppress(RuntimeError):  # no thread: reported as no answer
                call.start()
        for call in calls:
            if call.is_alive():
                call.join(max(0.0, end - time.monotonic()))
    for call in calls:
        observe(call.event())


class _Call(Thread):
    """One request; a thread, because resolving a host name has no time limit."""

    def __init__(self, url: str, limit_s: float) -> None:
        super().__init__(daemon=True)
        self._url = url
        # the query may contain a token
        self._public_url = re.sub(r"([?#]).*", rf"\1{MASK}", url)
        self._limit_s = limit_s
        self._result: int | str = "there was no answer in time"

    def run(self) -> None:
        """Send the request and keep its status or error."""
        try:
            self._result = _post(self._url, timeout_s=self._limit_s)
        except HTTPException as error:
            self._result = f"the answer is not HTTP: {type(error).__name__}"
        except OSError as error:
            self._result = error.strerror or str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - such as a host name that IDNA refuses
            self._result = f"{type(error).__name__}: {error}"

    def event(self) -> Event:
        """Return the event about the result so far."""
        result = self._result
        if isinstance(result, int) and result in _SUCCESS:
            return SidecarStopped(url=self._public_url, status=result)
        reason = result if isinstance(result, str) else f"it answered {result}"
        return SidecarFailed(url=self._public_url, reason=reason)


def _post(url: str, *, timeout_s: float) -> int:
    """Return the status of the response, without following redirections or proxies."""
    parts = http_url(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    with closing(kind(parts.hostname or "", parts.port, timeout=timeout_s)) as conn:
        conn.request("POST", path)
        return conn.getresponse().status

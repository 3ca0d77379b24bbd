"""
Sidecars asked to stop when a run is over: a proxy that goes on keeps its Job alive.

istio's agent, Linkerd's proxy and the Cloud SQL proxy each take a POST for it. Where
Kubernetes has native sidecars it stops them itself.
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


PATIENCE_S = 2.0
"""For all of them together: they are on the pod's own network."""

_SUCCESS = range(200, 300)


def stop(
    urls: tuple[str, ...],
    observe: Observer,
    cancellation: Cancellation,
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """
    Send a POST to each of *urls* at the same time, and tell what became of it.

    Nothing is raised, and it is over after *patience_s*, or as soon as *cancellation*
    is requested.
    """
    calls = [_Call(url, patience_s) for url in urls]
    end = time.monotonic() + patience_s
    with suppress(MigratorError), cancellation.interruptible():
        for call in calls:
            with suppress(RuntimeError):  # no thread to be had: reported as no answer
                call.start()
        for call in calls:
            if call.is_alive():
                call.join(max(0.0, end - time.monotonic()))
    for call in calls:
        observe(call.event())


class _Call(Thread):
    """One request; a thread, for looking up a name knows no timeout."""

    def __init__(self, url: str, patience_s: float) -> None:
        super().__init__(daemon=True)
        self._url = url
        # a query may hold a token
        self._public_url = re.sub(r"([?#]).*", rf"\1{MASK}", url)
        self._patience_s = patience_s
        self._outcome: int | str = "there was no answer in time"

    def run(self) -> None:
        """Ask, and note the answer."""
        try:
            self._outcome = _post(self._url, timeout_s=self._patience_s)
        except HTTPException as error:
            self._outcome = f"the answer is not HTTP: {type(error).__name__}"
        except OSError as error:
            self._outcome = error.strerror or str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - such as a host name that IDNA refuses
            self._outcome = f"{type(error).__name__}: {error}"

    def event(self) -> Event:
        """Return what is known by now."""
        outcome = self._outcome
        if isinstance(outcome, str):
            return SidecarFailed(url=self._public_url, reason=outcome)
        if outcome not in _SUCCESS:
            return SidecarFailed(url=self._public_url, reason=f"it answered {outcome}")
        return SidecarStopped(url=self._public_url, status=outcome)


def _post(url: str, *, timeout_s: float) -> int:
    """Return the status of the answer, without following redirections or proxies."""
    place = http_url(url)
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    path = f"{place.path or '/'}{'?' if place.query else ''}{place.query}"
    with closing(kind(place.hostname or "", place.port, timeout=timeout_s)) as to:
        to.request("POST", path)
        return to.getresponse().status

"""What becomes of the sidecars at the end of a run."""

from typing import ClassVar

from migrator.events.base import Event


class SidecarStopped(Event):
    """A sidecar has taken the request to stop."""

    name: ClassVar[str] = "sidecar.stopped"

    url: str
    """Its query, which may hold a token, is masked."""

    status: int
    """Of its HTTP answer."""


class SidecarFailed(Event):
    """A sidecar did not take the request to stop; the exit code stays what it is."""

    name: ClassVar[str] = "sidecar.failed"
    level: ClassVar[str] = "warning"

    url: str
    """Its query, which may hold a token, is masked."""

    reason: str

"""What comes between a run and its end."""

from typing import ClassVar

from migrator.events.base import Event


class SettingIgnored(Event):
    """A variable has no effect here, for example a Kubernetes service link."""

    name: ClassVar[str] = "setting.ignored"
    level: ClassVar[str] = "warning"

    variable: str
    reason: str


class TlsUnverified(Event):
    """A password goes to a server whose certificate is not verified."""

    name: ClassVar[str] = "tls.unverified"
    level: ClassVar[str] = "warning"

    sslmode: str
    """As libpq uses it; `prefer` is its default."""

    hint: str


class RunInterrupted(Event):
    """A signal or the deadline came; we cancel, roll back and unlock."""

    name: ClassVar[str] = "run.interrupted"
    level: ClassVar[str] = "warning"

    reason: str


class RunCrashed(Event):
    """A bug of ours came to light; the traceback is for its report."""

    name: ClassVar[str] = "run.crashed"
    level: ClassVar[str] = "error"

    traceback: str

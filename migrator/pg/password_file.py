"""A password file that libpq leaves out, which it says on stderr alone."""

import stat
from pathlib import Path

from migrator.events.base import Observer
from migrator.pg.dsn import Dsn


def warn_of_password_file(dsn: Dsn, observe: Observer) -> None:
    """Report, in libpq's words, why the password file of *dsn* is not read."""
    reason = _reason(dsn)
    if reason:
        from migrator.telling import setting_ignored  # noqa: PLC0415 - rare

        observe(setting_ignored("PGPASSFILE", reason=reason))


def _reason(dsn: Dsn) -> str:
    """Return what libpq prints; empty where it reads the file or needs none."""
    told = {**dsn.elsewhere, **dict(dsn.parameters)}
    if told.get("password"):
        return ""
    path = told.get("passfile") or "~/.pgpass"
    try:
        mode = Path(path).expanduser().stat().st_mode
    except (OSError, RuntimeError, ValueError):
        return ""
    # fe-connect.c: passwordFromFile
    if not stat.S_ISREG(mode):
        return f'password file "{path}" is not a plain file'
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return _ACCESS.format(path)
    return ""


_ACCESS = (
    'password file "{}" has group or world access; permissions should be u=rw (0600)'
    " or less"
)

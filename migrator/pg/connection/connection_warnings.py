"""Warnings about a connection's parameters, before the first connection is opened."""

import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from migrator.events.base import Observer
from migrator.events.factories import setting_ignored
from migrator.events.run import TlsUnverified
from migrator.pg.connection.dsn import Dsn


_TLS_HINT = "set sslmode=verify-full and sslrootcert in the database URL"


def warn_of_unverified_tls(dsn: Dsn, observe: Observer, *, own_password: bool) -> None:
    """
    Warn if a password is sent to a server that libpq does not verify.

    No warning without a password, when every host is a Unix socket or a loopback
    address, and when libpq verifies the server: `verify-ca`, `verify-full`, `require`
    with a root certificate (which is `verify-ca`), or `channel_binding=require`, under
    which the server has to know the password. *own_password* says that a setting names
    a password source; the other passwords, PGPASSFILE included, are libpq's.
    """
    parameters, has_password = dsn.effective()
    sslmode = parameters.get("sslmode", "")
    if not (own_password or has_password) or _verifies(sslmode, parameters):
        return
    if not all(map(_is_local, _hosts(parameters))):
        observe(TlsUnverified(sslmode=sslmode, hint=_TLS_HINT))


def _verifies(sslmode: str, parameters: Mapping[str, str]) -> bool:
    if parameters.get("channel_binding") == "require":
        return True
    # fe-secure-openssl.c: initialize_SSL verifies whenever there is such a file, and
    # libpq-ssl.html says so of `require`; the weaker modes continue without TLS
    root = parameters.get("sslrootcert") or Path("~/.postgresql/root.crt").expanduser()
    has_root = sslmode == "require" and Path(root).exists()
    return has_root or sslmode.startswith("verify-")


def _hosts(parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield each host's address if there is one, else its name."""
    names = parameters.get("host", "").split(",")
    addresses = parameters.get("hostaddr", "").split(",")
    for index in range(max(len(names), len(addresses))):
        address = addresses[index] if index < len(addresses) else ""
        yield address or (names[index] if index < len(names) else "")


def _is_local(host: str) -> bool:
    # libpq-connect.html, `host`: without one its default socket, `/` a socket's
    # directory, `@` an abstract socket
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def warn_of_password_file(dsn: Dsn, observe: Observer) -> None:
    """Report, in libpq's words, why the password file of *dsn* is not read."""
    parameters = {**dsn.defaults, **dict(dsn.parameters)}
    path = parameters.get("passfile") or "~/.pgpass"
    reason = "" if parameters.get("password") else _password_file_fault(path)
    if reason:
        observe(setting_ignored("PGPASSFILE", reason=reason))


def _password_file_fault(path: str) -> str:
    """Return what libpq prints of the file; empty if it reads it or there is none."""
    try:
        mode = Path(path).expanduser().stat().st_mode
    except (OSError, RuntimeError, ValueError):
        return ""
    # fe-connect.c: passwordFromFile
    if not stat.S_ISREG(mode):
        return f'password file "{path}" is not a plain file'
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (
            f'password file "{path}" has group or world access; permissions should be'
            " u=rw (0600) or less"
        )
    return ""

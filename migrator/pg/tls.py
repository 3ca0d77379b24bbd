"""Whether a password goes to a server whose certificate nobody verifies."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from migrator.events.base import Observer
from migrator.pg.dsn import Dsn


_HINT = "set sslmode=verify-full and sslrootcert in the database URL"


def warn_of_unverified_tls(dsn: Dsn, observe: Observer, *, own_password: bool) -> None:
    """Report, before anything is sent, what `unverified_sslmode` finds."""
    sslmode = unverified_sslmode(dsn, own_password=own_password)
    if sslmode is not None:
        from migrator.events.trouble import TlsUnverified  # noqa: PLC0415 - rare

        observe(TlsUnverified(sslmode=sslmode, hint=_HINT))


def unverified_sslmode(dsn: Dsn, *, own_password: bool) -> str | None:
    """
    Return the `sslmode` under which a password reaches whoever answers, or None.

    None without a password, when every host is a Unix socket or a loopback address, and
    when libpq verifies the server: `verify-ca`, `verify-full`, `require` with a root
    certificate (which is `verify-ca`), or `channel_binding=require`, under which the
    server has to know the password. *own_password* says that a setting names one; the
    others, `PGPASSFILE` included, are those that libpq finds.
    """
    parameters, found_password = dsn.effective()
    sslmode = parameters.get("sslmode", "")
    if not (own_password or found_password) or _verifies(sslmode, parameters):
        return None
    return None if all(map(_is_local, _hosts(parameters))) else sslmode


def _verifies(sslmode: str, parameters: Mapping[str, str]) -> bool:
    if parameters.get("channel_binding") == "require":
        return True
    # fe-secure-openssl.c: initialize_SSL verifies whenever there is such a file, and
    # libpq-ssl.html says so of `require`; the weaker modes go on without TLS
    root = parameters.get("sslrootcert") or Path("~/.postgresql/root.crt").expanduser()
    found = sslmode == "require" and Path(root).exists()
    return found or sslmode.startswith("verify-")


def _hosts(parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield each host's address, where one is given, else its name."""
    names = parameters.get("host", "").split(",")
    addresses = parameters.get("hostaddr", "").split(",")
    many = max(len(names), len(addresses))
    for part in range(many):
        address = addresses[part] if part < len(addresses) else ""
        yield address or (names[part] if part < len(names) else "")


def _is_local(host: str) -> bool:
    # for libpq no host is its socket, `/` the folder of one, `@` an abstract one
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

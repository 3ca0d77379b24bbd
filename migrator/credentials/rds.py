"""
Tokens in place of passwords for Amazon RDS and Aurora.

Amazon RDS User Guide, "IAM database authentication": a signed URL that the server takes
as the password for 15 minutes, over TLS only.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from migrator.credentials.aws import keys, region_of
from migrator.credentials.sigv4 import presigned
from migrator.errors import UsageError


_HOST = re.compile(r"[\w.-]+\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?\.?")
_LIFETIME_S = 900


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RdsToken:
    """Makes tokens for one user of one server; *now* is for tests."""

    host: str
    port: str
    user: str
    environ: Mapping[str, str]
    now: Callable[[], datetime] = field(default=_now)

    def __call__(self) -> str:
        """Return a token that is valid from now on."""
        region = self._region()
        return presigned(
            keys(self.environ, region),
            host=f"{self.host}:{self.port}",
            query={"Action": "connect", "DBUser": self.user},
            region=region,
            service="rds-db",
            at=self.now(),
            expires_s=_LIFETIME_S,
        )

    def _region(self) -> str:
        """Return the server's region: our own may be another one."""
        found = _HOST.fullmatch(self.host)
        region = found[1] if found else region_of(self.environ)
        if region is None:
            raise UsageError(
                f"the host {self.host} does not name its region: use RDS's own name of"
                " the server, or set AWS_REGION"
            )
        return region


def rds_token(parameters: Mapping[str, str], environ: Mapping[str, str]) -> RdsToken:
    """
    Return the source of tokens for what libpq's *parameters* and PG* variables name.

    Raises:
        UsageError: They name no user, or not exactly one host.
    """
    host = parameters.get("host") or environ.get("PGHOST", "")
    port = parameters.get("port") or environ.get("PGPORT") or "5432"
    user = parameters.get("user") or environ.get("PGUSER", "")
    if not host or not user or "," in host or host.startswith("/"):
        raise UsageError(
            "MIGRATOR_PASSWORD_PROVIDER=rds-iam: a token is for one user of one server;"
            " name both, as in postgresql://user@host:5432/dbname"
        )
    return RdsToken(host, port, user, environ)

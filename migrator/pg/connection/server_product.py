"""
Servers that speak PostgreSQL's protocol and are not PostgreSQL: detected and refused.

Their locks and transactions are not PostgreSQL's, and what migrator relies on fails
there silently. A fork that keeps both, such as Aurora PostgreSQL, AlloyDB, EDB
Postgres, Citus or TimescaleDB, is PostgreSQL here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import psycopg

from migrator.errors import UnsupportedServerError


class ServerProduct(NamedTuple):
    """A database that is not PostgreSQL."""

    name: str
    reason: str
    """Why no migration runs there."""

    markers: Mapping[str, str]
    """What tells: a pattern for each name of what is known of the server."""


VERSION = "version()"
"""Among what is known of a server: what that function returns."""

_FOREIGN = "its locks and transactions are not PostgreSQL's"
PRODUCTS = (
    # cockroachdb/cockroach#13546: pg_advisory_lock returns and locks nothing
    ServerProduct(
        "CockroachDB",
        "its advisory locks lock nothing, so two runs would migrate at the same time",
        {"crdb_version": "", VERSION: "^CockroachDB"},
    ),
    # yugabyte/yugabyte-db#2323, #7831: "catalog version mismatch"
    ServerProduct(
        "YugabyteDB",
        "its DDL fails when another session reads the catalogs, as a run does",
        {"server_version": "-YB-", VERSION: "-YB-|YugabyteDB"},
    ),
    # ariga/atlas#3539: "pg_try_advisory_lock not supported"; its endpoints' names are
    # in the user guide, its version() is PostgreSQL's number alone
    ServerProduct(
        "Aurora DSQL",
        "it has no advisory locks, and runs one DDL statement in a transaction",
        {"host": r"\.dsql(?:-[a-z]+)?\.[a-z0-9-]+\.on\.aws\.?$", VERSION: "DSQL"},
    ),
    # Redshift's "Unsupported PostgreSQL features", "functions"
    ServerProduct(
        "Amazon Redshift",
        "it has no advisory locks and no DO blocks",
        {"padb_version": "", VERSION: "Redshift"},
    ),
    ServerProduct("Materialize", _FOREIGN, {VERSION: "Materialize"}),
    ServerProduct("RisingWave", _FOREIGN, {VERSION: "RisingWave"}),
    ServerProduct("QuestDB", _FOREIGN, {VERSION: "QuestDB"}),
    # In PostgresWireProtocol.java; Planner.java: "CrateDB has no transactions"
    ServerProduct(
        "CrateDB", "it has no transactions", {"crate_version": "", VERSION: "Crate"}
    ),
    # H2's documentation, "Transaction Isolation": DDL commits an open transaction
    ServerProduct("H2", "its DDL commits at once", {VERSION: "using H2"}),
)
_OTHER = ServerProduct(
    "not PostgreSQL", f"version() does not name a build, and {_FOREIGN}", {}
)
# In configure.ac and meson.build: PG_VERSION_STR, "PostgreSQL … on …, compiled by …";
# forks that are built from PostgreSQL's sources have it too
_BUILT = "compiled by"


def detect_product(
    version: str, parameters: Mapping[str, str | None]
) -> ServerProduct | None:
    """
    Return the product if the server is not PostgreSQL, else None.

    *version* is what `version()` returns; empty where it is not known yet. *parameters*
    are the `host` of the connection, and what the server reports at its start.
    """
    known = {**parameters, VERSION: version or None}
    for engine in PRODUCTS:
        for name, sign in engine.markers.items():
            value = known.get(name)
            if value is not None and re.search(sign, value):
                return engine
    return _OTHER if version and _BUILT not in version.lower() else None


def check_product(conn: psycopg.Connection, version: str = "") -> None:
    """
    Check, without sending a query, that the server of *conn* is PostgreSQL.

    Raises:
        UnsupportedServerError: It is another one.
    """
    parameters = dict(_parameters(conn))
    engine = detect_product(version, parameters)
    if engine is not None:
        shown = version or parameters.get("server_version") or ""
        raise UnsupportedServerError(engine.name, version=shown, reason=engine.reason)


def _parameters(conn: psycopg.Connection) -> Iterator[tuple[str, str | None]]:
    yield "host", conn.info.host
    for name in ("server_version", *_REPORTED):
        yield name, conn.info.parameter_status(name)


_REPORTED = tuple(
    name for each in PRODUCTS for name in each.markers if name.endswith("_version")
)


def query_version(conn: psycopg.Connection) -> str:
    """Return the result of `version()`; empty if it fails."""
    try:
        row = conn.execute("SELECT pg_catalog.version()").fetchone()
    except psycopg.Error:
        return ""
    return str(row[0]) if row else ""

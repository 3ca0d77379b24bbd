"""
Detects and refuses servers that speak PostgreSQL's protocol and are not PostgreSQL.

Their locks and transactions are not PostgreSQL's, so migrator's own would fail without
an error. A fork that keeps both, such as Aurora PostgreSQL, AlloyDB, EDB Postgres,
Citus or TimescaleDB, counts as PostgreSQL.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import psycopg

from migrator.errors import UnsupportedServerError


class ServerProduct(NamedTuple):
    """A database that is not PostgreSQL."""

    name: str
    reason: str
    """Why migrations are refused."""

    markers: Mapping[str, str]
    """Patterns by the name of a reported parameter, of `host` or of VERSION."""


VERSION = "version()"
"""The name of that function's result among the markers."""

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
# configure.ac and meson.build: PG_VERSION_STR, "PostgreSQL … on …, compiled by …", as
# in forks that are built from PostgreSQL's sources
_BUILD = "compiled by"


def detect_product(
    version: str, parameters: Mapping[str, str | None]
) -> ServerProduct | None:
    """
    Return the product if the server is not PostgreSQL, else None.

    *version* is the result of `version()`; empty if it is not known yet. *parameters*
    are the `host` of the connection and the parameters that the server has reported.
    """
    values = {**parameters, VERSION: version or None}
    for product in PRODUCTS:
        for name, pattern in product.markers.items():
            value = values.get(name)
            if value is not None and re.search(pattern, value):
                return product
    return _OTHER if version and _BUILD not in version.lower() else None


def check_product(conn: psycopg.Connection, version: str = "") -> None:
    """
    Check, without sending a query, that the server of *conn* is PostgreSQL.

    Raises:
        UnsupportedServerError: It is another one.
    """
    parameters = {name: conn.info.parameter_status(name) for name in _PARAMETERS}
    product = detect_product(version, {**parameters, "host": conn.info.host})
    if product is not None:
        version = version or parameters["server_version"] or ""
        raise UnsupportedServerError(
            product.name, version=version, reason=product.reason
        )


_PARAMETERS = frozenset(
    name for each in PRODUCTS for name in each.markers if name.endswith("_version")
)


def query_version(conn: psycopg.Connection) -> str:
    """Return the result of `version()`; empty if it fails."""
    try:
        row = conn.execute("SELECT pg_catalog.version()").fetchone()
    except psycopg.Error:
        return ""
    return str(row[0]) if row else ""

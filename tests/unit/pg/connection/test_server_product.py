"""Which server is not PostgreSQL, by what it says of itself."""

from collections.abc import Mapping

import pytest

from migrator.pg.connection.server_product import detect_product


# The strings are quoted where they are documented or built: cockroachdb/docs "version()";
# yugabyte/yugabyte-db docs "version()"; Redshift's guide "VERSION function"; Materialize
# and RisingWave as in their sources; questdb docs "version"; crate/crate
# VersionFunction.java; h2database CompatibilityFunctions "VERSION"; CedarDB's docs;
# pgadapter SelectVersionStatement.java; DSQL's guide names its PostgreSQL alone
FOREIGN = {
    "CockroachDB CCL v24.2.4 (x86_64-pc-linux-gnu, built 2024/10/11 22:46:14, go1.22.5)": (
        "CockroachDB"
    ),
    "PostgreSQL 15.12-YB-2026.1.0.1-b0 on x86_64-pc-linux-gnu, compiled by clang version"
    " 21.1.1 (https://github.com/yugabyte/llvm-project.git efca861), 64-bit": (
        "YugabyteDB"
    ),
    "PostgreSQL 11.2-YB-2.6.1.0-b0 on x86_64-pc-linux-gnu, compiled by gcc (Homebrew gcc"
    " 5.5.0_4) 5.5.0, 64-bit": "YugabyteDB",
    "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red"
    " Hat 3.4.2-6.fc3), Redshift 1.0.77467": "Amazon Redshift",
    "PostgreSQL 9.5 on x86_64-unknown-linux-gnu (Materialize 26.36.0)": "Materialize",
    "PostgreSQL 13.14.0-RisingWave-3.0.2 (391c3a16ef26d0cd86d1236c9b7c122a9a27fb1e)": (
        "RisingWave"
    ),
    "PostgreSQL 12.3, compiled by Visual C++ build 1914, 64-bit, QuestDB": "QuestDB",
    "CrateDB 5.9.3 (built 6f2b2bf/2024-11-05T09:21:12Z, Linux 5.15 amd64, OpenJDK 64-Bit"
    " Server VM 22.0.2+9)": "CrateDB",
    "PostgreSQL 8.2.23 server protocol using H2 2.3.232 (2024-08-11)": "H2",
    "PostgreSQL 16.3 compatible CedarDB v2025-08-20": "not PostgreSQL",
    "PostgreSQL 14.1": "not PostgreSQL",
    "PostgreSQL 16": "not PostgreSQL",
}
OURS = [
    (
        "PostgreSQL 17.10 on x86_64-pc-linux-musl, compiled by gcc (Alpine 15.2.0) 15.2.0,"
        " 64-bit"
    ),
    (
        "PostgreSQL 18beta1 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0,"
        " 64-bit"
    ),
    "PostgreSQL 16.1, compiled by Visual C++ build 1937, 64-bit",
    "PostgreSQL 17.0 on x86_64-windows, compiled by msvc-19.41.34120, 64-bit",
    (
        "PostgreSQL 17.4 (EnterpriseDB Advanced Server 17.4.0) on x86_64-pc-linux-gnu,"
        " compiled by gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5), 64-bit"
    ),
    (
        "PostgreSQL 15.4 on aarch64-unknown-linux-gnu, compiled by"
        " aarch64-unknown-linux-gnu-gcc (GCC) 9.5.0, 64-bit"
    ),
    (
        "PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit:abc) on x86_64-pc-linux-gnu,"
        " compiled by gcc (GCC) 8.5.0, 64-bit"
    ),
]
AT_ITS_START: list[tuple[Mapping[str, str | None], str | None]] = [
    ({"crdb_version": "CockroachDB CCL v24.2.4"}, "CockroachDB"),
    ({"server_version": "15.12-YB-2026.1.0.1-b0"}, "YugabyteDB"),
    ({"server_version": "8.0.2", "padb_version": "1.0.77467"}, "Amazon Redshift"),
    ({"server_version": "14.0", "crate_version": "5.9.3"}, "CrateDB"),
    ({"host": "ijt4jtjkn7oxft.dsql.us-east-1.on.aws"}, "Aurora DSQL"),
    ({"host": "ijt4jtjkn7oxft.dsql-gamma.us-east-1.on.aws"}, "Aurora DSQL"),
    ({"host": "dsql.example.org", "server_version": "17.2"}, None),
    ({"host": None, "server_version": "16.4 (Debian 16.4-1.pgdg120+2)"}, None),
]


@pytest.mark.parametrize(("version", "name"), FOREIGN.items())
def test_another_database_is_known_by_its_version(version: str, name: str) -> None:
    """Also where the text begins with PostgreSQL, and where nobody knows its name."""
    found = detect_product(version, {})

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("version", OURS)
def test_what_is_built_from_postgresqls_sources_is_postgresql(version: str) -> None:
    """On every platform, and by those who sell it under another name."""
    assert detect_product(version, {}) is None


@pytest.mark.parametrize(("parameters", "name"), AT_ITS_START)
def test_another_database_is_known_at_its_start(
    parameters: Mapping[str, str | None], name: str | None
) -> None:
    """By what it reports before anything is asked, and by DSQL's own host names."""
    found = detect_product("", parameters)

    assert (found and found.name) == name

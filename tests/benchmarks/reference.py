"""
The least that a program like ours can be: our libraries, one look, one line of log.

It reads settings from the environment, connects, reads what goose has applied, and says
so. It is run by the same Python as ours and names nothing of the migrator.
"""

from pathlib import Path

import psycopg
import structlog
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be set."""

    model_config = SettingsConfigDict(env_prefix="MIGRATOR_")

    database_url: str
    migrations_dir: Path = Path("migrations")
    table: str = "goose_db_version"
    connect_wait: float = 60
    allow_missing: bool = False


def main() -> None:
    """Look once."""
    settings = Settings()  # type: ignore[call-arg]  # pydantic reads the environment
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        query = f"SELECT version_id FROM {settings.table} WHERE is_applied".encode()
        versions = [row[0] for row in conn.execute(query).fetchall()]
    structlog.get_logger().info("run.finished", version=max(versions))


if __name__ == "__main__":
    main()

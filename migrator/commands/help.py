"""What `migrator help` prints."""

from itertools import groupby

from migrator.commands import ARGUMENTS, COMMANDS, summary
from migrator.config.arguments import FLAGS, POSTGRES


_HELP = """\
Apply the SQL migrations of a directory to a PostgreSQL database, then exit.

Usage:
  migrator [flags] [command] [argument]
  migrator [flags] {drivers} DSN [command] [argument]

Commands:
{commands}

Flags, with one dash or two, anywhere on the line:
{flags}

Examples:
  export MIGRATOR_DATABASE_URL=postgresql://user:password@localhost:5432/shop
  migrator                                     # apply what is pending
  migrator status
  migrator -dir db/migrations up-to 42
  migrator create add_users
  MIGRATOR_LOG_FORMAT=plain migrator version   # only the number, for a script

Exit codes:
  0 success, 2 usage, 3 pending, 10 to 15 not retryable, 20 to 24 retryable

Environment variables set the same and more: migrator/REFERENCE.md lists them,
README.md the exit codes.
"""


def help_text() -> str:
    """Return usage, commands, flags and examples."""
    words = {name: f"{name} {ARGUMENTS.get(name, '')}" for name in COMMANDS}
    rows = [(words[name], summary(name)) for name in COMMANDS]
    return _HELP.format(
        drivers="|".join(POSTGRES),
        commands=_columns([*rows, ("help", "Show this help")]),
        flags=_columns(_flags()),
    )


def _flags() -> list[tuple[str, str]]:
    """Return each flag with its meaning; those of one meaning together."""
    groups = groupby(FLAGS.items(), key=lambda item: item[1])
    return [
        (f"{', '.join(f'-{name}' for name, _ in same)} {flag.value}", flag.meaning)
        for flag, same in groups
    ]


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max(len(left.rstrip()) for left, _ in rows)
    return "\n".join(f"  {left.rstrip():<{width}}  {right}" for left, right in rows)

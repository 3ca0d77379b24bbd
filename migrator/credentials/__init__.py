"""
Where passwords come from that do not stay the same: each connection asks again.

Nothing here is imported unless a setting asks for it.
"""

from collections.abc import Callable


Password = Callable[[], str]
"""
A source of passwords, asked before each connection.

Raises:
    PasswordUnavailableError: It has none; it may have one later.
    UsageError: It cannot have one, until somebody changes the environment.
"""

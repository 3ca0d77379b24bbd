"""What one step without a transaction has noted of itself, and notes as it goes on."""

from migrator.errors import LockLostError
from migrator.facts import TRACKING, Place
from migrator.model import Statement, Step
from migrator.pg.execute import Executor
from migrator.pg.journal import Intent, Journal, Mark
from migrator.pg.own import ask_own
from migrator.pg.partial import Progress
from migrator.pg.places import nowhere
from migrator.sql.nature import Applied


class Notes:
    """The journal's row of *step*, written on *executor*'s connection."""

    def __init__(self, executor: Executor, step: Step) -> None:
        self._executor = executor
        self._step = step
        ledger = executor.table.ledger if executor.table else None
        self.journal = None if ledger is None else Journal(ledger, step)
        """None where nothing can be noted."""

        self.row: int | None = None
        """The row's id, once there is one."""

        self.reached = Mark(0, "")
        """What has run, noted or not, and what only the session has of it included."""

        self.applied = Applied()
        """What of that is in the database."""

        self._noted = 0
        """How many statements the row says are in effect."""

    def ran(self, statement: Statement, reached: Mark | None = None) -> None:
        """Count *statement*, which has succeeded; it leads to *reached*, if it ends."""
        self.applied.add(statement.text)
        if reached is not None:
            self.reached = reached

    def write(self, mark: Mark) -> None:
        """
        Write *mark*, in the transaction that is open if one is.

        Raises:
            LockLostError: The migration lock is not ours any more, or another run has
                gone on with the step.
            MigratorError: As `Executor.take`.
        """
        if self.journal is None:
            return
        executor, conn = self._executor, self._executor.conn
        query = self.journal.marking(
            self.row, mark, reached=self._noted, held=executor.hold.proof
        )
        with executor.explaining(nowhere(self._step, TRACKING)):
            answers = ask_own(conn, query)
        found = [row[0] for row in answers if row is not None]
        if not found:
            executor.hold.check()
            raise LockLostError(
                f"another run has gone on with {self._step.migration.path}"
            )
        self.row, self._noted = found[-1], mark.through

    def find(self) -> Intent | None:
        """Take up the row that an earlier attempt has left open, and return it."""
        if self.journal is None:
            return None
        with self._executor.explaining(nowhere(self._step, TRACKING)):
            intent = self.journal.find(self._executor.conn)
        if intent is not None:
            self.row, self._noted = intent.id, intent.through
            self.reached = Mark(intent.through, "")
        return intent

    def progress(self, place: Place) -> Progress:
        """Return how far the step has come, seen from *place*."""
        ledger = self.journal.ledger.identifier.as_string() if self.journal else None
        total = len(self._step.told)
        through, script = self.applied.through, self._step.script
        return Progress(place, through, total, ledger, self.row, script)

"""What one step without a transaction has noted of itself, and notes as it goes on."""

from migrator.errors import LockLostError
from migrator.facts import Place
from migrator.model import Step
from migrator.pg.execute import Executor, nowhere
from migrator.pg.journal import Intent, Journal, Mark
from migrator.pg.own import ask_own
from migrator.pg.partial import Progress


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
        """What is in effect, noted or not."""

        self._noted = 0
        """How many statements the row says are in effect."""

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
        with executor.explaining(nowhere(self._step)):
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
        with self._executor.explaining(nowhere(self._step)):
            intent = self.journal.find(self._executor.conn)
        if intent is not None:
            self.row, self._noted = intent.id, intent.through
            self.reached = Mark(intent.through, "")
        return intent

    def progress(self, place: Place) -> Progress:
        """Return how far the step has come, seen from *place*."""
        ledger = self.journal.ledger.identifier.as_string() if self.journal else None
        total = len(self._step.told)
        return Progress(place, self.reached.through, total, ledger, self.row)

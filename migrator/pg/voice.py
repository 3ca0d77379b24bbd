"""Two threads tell events, one at a time."""

import threading
import time

from migrator.events.base import Event, Observer
from migrator.pg.printed import out_of_print


class Voice:
    """
    Hands events on to *observe*, and knows when it did.

    Called by whoever tells something. What *observe* prints is no script's word.
    """

    def __init__(self, observe: Observer) -> None:
        self.told_at = time.monotonic()
        """When something was told last that is not for debugging."""

        self.turn = threading.RLock()
        """For whoever has to be sure of something while it tells."""

        self._observe = out_of_print(observe)

    @classmethod
    def of(cls, observe: Observer) -> "Voice":
        """Return *observe* itself when it is a voice, else one of its own."""
        return observe if isinstance(observe, Voice) else cls(observe)

    def __call__(self, event: Event) -> None:
        """Tell *event*."""
        with self.turn:
            if event.severity != "debug":
                self.told_at = time.monotonic()
            self._observe(event)

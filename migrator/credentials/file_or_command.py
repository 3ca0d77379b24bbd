"""A password that a file holds, or that a program prints."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import PasswordUnavailableError, UsageError


@dataclass(frozen=True, slots=True)
class FromFile:
    """The text of a file, without white space at its ends."""

    path: Path

    def __call__(self) -> str:
        """Read it, as it is now: whoever rotates passwords replaces the file."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise PasswordUnavailableError(f"cannot read {self.path}: {why}") from error
        return check_password(text.strip(), f"{self.path} holds no password")


@dataclass(frozen=True, slots=True)
class FromCommand:
    """The first line that a program prints; no shell reads its command line."""

    command: str
    learn: Callable[[str], None]
    """Called with the output of a command that failed, before its error is reported."""

    timeout_s: float = 30.0

    def __call__(self) -> str:
        """Run it; a signal that stops us ends it, too."""
        import subprocess  # noqa: PLC0415 - slow, and files do without

        words = shlex.split(self.command)
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command
                words,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_s,
            )
        except subprocess.TimeoutExpired:
            why = f"{words[0]} did not end within {self.timeout_s:g} s"
            raise PasswordUnavailableError(why, silent=True) from None
        except OSError as error:
            raise UsageError(_NO_PROGRAM.format(words[0], error.strerror)) from error
        if done.returncode:
            self.learn(done.stdout[:_MOST_LEARNED].decode(errors="replace"))
            raise PasswordUnavailableError(
                _failure(words[0], done.returncode, done.stderr)
            )
        first = done.stdout.split(b"\n", 1)[0].removesuffix(b"\r")
        return check_password(
            first.decode(errors="replace"), f"{words[0]} printed no password"
        )


_NO_PROGRAM = (
    "MIGRATOR_PASSWORD_COMMAND: cannot run {}: {}; give the program's whole path, and"
    " add it to the image, which has none but python3"
)
_MOST_SHOWN = 200
_MOST_LEARNED = 1 << 13


def check_password(password: str, lacking: str) -> str:
    """
    Return *password*.

    Raises:
        PasswordUnavailableError: It is empty (*lacking*), or libpq cannot take it.
    """
    if not password:
        raise PasswordUnavailableError(lacking)
    if "\0" in password or "\ufffd" in password:
        raise PasswordUnavailableError("the password is no text")
    return password


def _failure(program: str, code: int, stderr: bytes) -> str:
    """Return what to tell: of what it said only the last line, where errors stand."""
    *_, last = ("", *stderr.decode(errors="replace").strip().splitlines())
    said = f": {shorten(last.strip(), _MOST_SHOWN)}" if last else ""
    return f"{program} ended with code {code}{said}"


def shorten(text: str, most: int) -> str:
    """Return *text* up to a blank: half a secret would not be recognized and masked."""
    if len(text) <= most:
        return text
    *words, _ = text[: most + 1].split(" ")
    return " ".join((*words, "…"))

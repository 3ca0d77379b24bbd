"""What takes long to make or comes from npm stays in the user's cache."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path


def cached(name: str, make: Callable[[Path], None], home: Path | None = None) -> Path:
    """
    Return the folder *name* in *home*, filled by *make* unless it was before.

    Processes that want it at the same time wait for the one that makes it, and none
    sees half of it.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = (home or caches / "migrator-tests") / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                made = Path(work) / "made"
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


def npm(package: str, sha512: str, folder: Path) -> None:
    """Unpack a package of npm into *folder*; another content than *sha512* is refused."""
    _run("npm", "pack", "--silent", "--pack-destination", str(folder), package)
    (archive,) = folder.glob("*.tgz")
    found = hashlib.sha512(archive.read_bytes()).hexdigest()
    assert found == sha512, f"{package} is another one: {found}"
    _run("tar", "-xzf", str(archive), "-C", str(folder), "--strip-components=1")
    archive.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

"""A container of a shipped manifest, run by docker as the kubelet would run it."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.image.engine import Migrator, Run, call, docker
from tests.k8s.manifests import Object, environment, migrators


MEMORY = "64m"
"""What the manifests request; their limit is above it."""

_INHERITED = ("runAsUser", "runAsGroup")

Files = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a node has for a pod: what its volumes hold, and a place to lay it out."""

    migrator: Migrator
    directory: Path
    dsn: str
    """What every key of a Secret holds, whether a variable or a volume shows it."""

    volumes: Mapping[str, Files] = field(default_factory=dict)
    """Files by the name of the volume that shows them; a Secret has them by itself."""

    migrations: Path | None = None
    """What the image would have in `/migrations`, unless a volume shows it there."""

    def run(self, pod: Object) -> "Ended":
        """Run the pod's migrator to its end."""
        message = self._termination_log()
        done = call("docker", "run", "--rm", *self._arguments(pod, message))
        run = Run(done.returncode, done.stdout, done.stderr)
        return Ended(run, message.read_text())

    def start(self, pod: Object) -> tuple[str, Path]:
        """Start it and leave it running; its id, and where its message will be."""
        message = self._termination_log()
        return docker("run", "--detach", *self._arguments(pod, message)), message

    def _arguments(self, pod: Object, message: Path) -> list[str]:
        (container,) = migrators(pod)
        variables = environment(container, self.dsn)
        path = container.get("terminationMessagePath", "/dev/termination-log")
        return [
            f"--label={self.migrator.label}",
            f"--network={self.migrator.target.network}",
            f"--memory={MEMORY}",
            f"--memory-swap={MEMORY}",
            *_confined(pod, container),
            *(f"--env={name}={value}" for name, value in variables),
            *self._mounts(pod, container),
            f"--volume={message}:{path}",
            self.migrator.image,
            *container.get("args", []),
        ]

    def _mounts(self, pod: Object, container: Object) -> Iterator[str]:
        volumes = {one["name"]: one for one in pod.get("volumes", [])}
        mounts = container.get("volumeMounts", [])
        for mount in mounts:
            volume = volumes[mount["name"]]
            if "emptyDir" in volume:
                yield f"--tmpfs={mount['mountPath']}:mode=0777"
                continue
            shown = self._shown(volume, pod["securityContext"].get("fsGroup"))
            mode = "ro" if mount.get("readOnly") else "rw"
            yield f"--volume={shown}:{mount['mountPath']}:{mode}"
        placed = "/migrations" in {mount["mountPath"] for mount in mounts}
        if self.migrations is not None and not placed:
            yield f"--volume={self.migrations}:/migrations:ro"

    def _shown(self, volume: Object, group: int | None) -> Path:
        """
        Lay a volume out as the kubelet does: files behind links into `..data`.

        Sources: kubernetes `pkg/volume/util/atomic_writer.go`, and `volume_linux.go`
        for the group: its files become readable for it, and directories get setgid.
        An image's files have no such links.
        """
        name = str(volume["name"])
        files = self.volumes.get(name, {"database-url": self.dsn, "uri": self.dsn})
        place = self.directory / name
        if place.exists():
            return place  # of a run before
        place.mkdir(mode=0o755)
        if "image" in volume:
            _write(place, files, 0o644)
            return place
        kind = volume.get("secret") or volume["configMap"]
        data = place / "..2026_11_25_09_00_00.123456789"
        data.mkdir()
        mode = kind.get("defaultMode", 0o644) | (0o440 if group is not None else 0)
        _write(data, files, mode)
        (place / "..data").symlink_to(data.name)
        for file in files:
            (place / file).symlink_to(f"..data/{file}")
        _own(place, group or 0)
        return place

    def _termination_log(self) -> Path:
        """Make the file that the kubelet mounts: empty, and for everybody to write."""
        message = self.directory / "termination-log"
        message.write_text("")
        message.chmod(0o666)
        return message


@dataclass(frozen=True)
class Ended:
    """How a pod's migrator ended, and what is left for `kubectl describe`."""

    run: Run
    message: str

    @property
    def verdict(self) -> tuple[int, int, int]:
        """The process's exit code, the last line's, and the message's: all the same."""
        message: dict[str, Any] = json.loads(self.message)
        return self.run.code, self.run.events[-1]["exit_code"], message["exit_code"]


def _confined(pod: Object, container: Object) -> Iterator[str]:
    """Yield docker's words for a container's security context over its pod's."""
    outer, own = pod["securityContext"], container["securityContext"]
    both = {name: outer[name] for name in _INHERITED if name in outer} | own
    if "runAsUser" in both:
        yield f"--user={both['runAsUser']}:{both['runAsGroup']}"
    if "fsGroup" in outer:
        yield f"--group-add={outer['fsGroup']}"
    if own["readOnlyRootFilesystem"]:
        yield "--read-only"
    if not own["allowPrivilegeEscalation"]:
        yield "--security-opt=no-new-privileges"
    yield from (f"--cap-drop={name}" for name in own["capabilities"]["drop"])


def _write(folder: Path, files: Files, mode: int) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(mode)


def _own(folder: Path, group: int) -> None:
    """Give the files to root and the pod's group; the tests need not be root for it."""
    if os.geteuid() == 0:
        for path in folder.glob("..2*/*"):
            os.chown(path, 0, group)
        return
    command = f"chown 0:{group} /volume/..2*/*"
    options = ("--user=0", f"--volume={folder}:/volume", "--entrypoint=sh")
    docker("run", "--rm", *options, "postgres:17", "-c", command)

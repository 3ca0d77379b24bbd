"""A Job on a real cluster, whose pods run nowhere: the tests report what a kubelet would."""

import json
import time
from dataclasses import dataclass
from typing import Any

from tests.k8s.manifests import Object
from tests.k8s.tools import kubectl, output


NOWHERE = {"migrator.test/nowhere": "true"}
"""Labels that no node has."""

DRAINED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
}
_NOW = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Job:
    """A Job, there already or soon."""

    namespace: str
    name: str

    def pods(self, least: int = 1) -> list[Object]:
        """The pods that nothing was reported for, by name, once there are so many."""
        end = time.monotonic() + 60
        selector = f"--selector=batch.kubernetes.io/job-name={self.name}"
        while True:
            found = [
                pod
                for pod in self._get("pod", selector)["items"]
                if pod["status"]["phase"] == "Pending"
            ]
            if len(found) >= least:
                return sorted(found, key=lambda one: str(one["metadata"]["name"]))
            assert time.monotonic() < end, f"{len(found)} pods"
            time.sleep(0.2)

    def report(self, code: int, *conditions: Object) -> None:
        """Say how the migrator of its next pod has ended."""
        report(self.namespace, self.pods()[0], code, *conditions)

    def outcome(self) -> tuple[str, str | None]:
        """How the Job has ended, and why."""
        end = time.monotonic() + 60
        while True:
            for condition in self.status().get("conditions", []):
                if condition["type"] in {"Complete", "Failed"}:
                    return condition["type"], condition.get("reason")
            assert time.monotonic() < end, self.status()
            time.sleep(0.2)

    def status(self) -> Object:
        """What the Job controller says."""
        found: Object = self._get("job", self.name)["status"]
        return found

    def _get(self, *what: str) -> Any:
        where = ("--namespace", self.namespace, "--output=json")
        return json.loads(output(kubectl(), "get", *what, *where))


def report(namespace: str, pod: Object, code: int, *conditions: Object) -> None:
    """Say how a pod's migrator has ended."""
    terminated = {"exitCode": code, "startedAt": _NOW, "finishedAt": _NOW}
    container = {
        "name": "migrator",
        "image": "x",
        "imageID": "x",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": terminated},
    }
    status = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [container],
        "conditions": [*pod["status"].get("conditions", []), *conditions],
    }
    output(
        *(kubectl(), "patch", "pod", pod["metadata"]["name"]),
        *("--namespace", namespace, "--subresource=status", "--type=merge"),
        *("--patch", json.dumps({"status": status})),
    )

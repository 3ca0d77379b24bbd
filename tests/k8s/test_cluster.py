"""
A real API server takes the manifests, and its Job controller acts on our exit codes.

No image is pulled and no database asked: the pods fit no node, and the tests report for
them what a kubelet would.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import yaml

from migrator.exits import PERMANENT, RETRYABLE
from tests.k8s import custom
from tests.k8s.manifests import MANIFESTS, Object, objects, workloads
from tests.k8s.restricted import violations
from tests.k8s.tools import kubectl, output, run


DRAINED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
}


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace that enforces Pod Security "restricted", gone afterwards."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("cluster: KUBECONFIG is not set")
    name = f"migrator-test-{uuid4().hex[:8]}"
    labels = [
        f"pod-security.kubernetes.io/{how}=restricted" for how in ("enforce", "warn")
    ]
    output(kubectl(), "create", "namespace", name)
    output(kubectl(), "label", "namespace", name, *labels)
    yield name
    output(kubectl(), "delete", "namespace", name, "--wait=false")


class Started:
    """A Job whose pods fit no node."""

    def __init__(self, namespace: str, job: Object) -> None:
        self._kubectl = (kubectl(), "--namespace", namespace)
        self.name = f"{job['metadata']['name']}-{uuid4().hex[:6]}"
        pod = job["spec"]["template"]["spec"]
        pod["nodeSelector"] = {"migrator.test/nowhere": "true"}
        made = job | {"metadata": {"name": self.name}}
        output(*self._kubectl, "apply", "-f", "-", stdin=yaml.safe_dump(made))

    def pods(self, least: int = 1) -> list[Object]:
        """The pods that nothing has been reported for, oldest first, once there are so many."""
        end = time.monotonic() + 60
        while True:
            found = [
                pod
                for pod in self._get("pod", f"--selector=job-name={self.name}")["items"]
                if pod["status"]["phase"] == "Pending"
            ]
            if len(found) >= least:
                return sorted(found, key=lambda one: str(one["metadata"]["name"]))
            assert time.monotonic() < end, f"{len(found)} pods"
            time.sleep(0.2)

    def report(self, pod: Object, code: int, *conditions: Object) -> None:
        """Say how a pod's migrator has ended."""
        now = "2026-01-01T00:00:00Z"
        terminated = {"exitCode": code, "startedAt": now, "finishedAt": now}
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
            *self._kubectl,
            *("patch", "pod", pod["metadata"]["name"], "--subresource=status"),
            *("--type=merge", "--patch", json.dumps({"status": status})),
        )

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
        return json.loads(output(*self._kubectl, "get", *what, "--output=json"))


def started(namespace: str, manifest: str = "base") -> Started:
    """Make the Job of a manifest."""
    (job,) = [one for one in workloads(manifest) if one["kind"] == "Job"]
    return Started(namespace, job)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_server_takes_it(manifest: str, namespace: str) -> None:
    """Validated and admitted as if it were made, without a warning."""
    known = [one for one in objects(manifest) if one["apiVersion"] not in custom.SPECS]
    if not known:
        pytest.skip("cluster: it may lack the operator of these objects")

    done = run(
        *(kubectl(), "apply", "--dry-run=server", "--validate=strict"),
        *("--namespace", namespace, "--filename", "-"),
        stdin=yaml.safe_dump_all(known),
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_server_refuses_what_the_rules_refuse(namespace: str) -> None:
    """Our rules of the profile and the server's are about the same thing."""
    (job,) = workloads("base")
    pod = job["spec"]["template"]["spec"]
    del pod["containers"][0]["securityContext"]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare"},
        "spec": pod,
    }

    done = run(
        *(kubectl(), "apply", "--dry-run=server", "--namespace", namespace),
        *("--filename", "-"),
        stdin=yaml.safe_dump(made),
    )

    assert violations(pod)
    assert "violates PodSecurity" in done.stderr


def test_success_completes_the_job(namespace: str) -> None:
    """Code 0."""
    job = started(namespace)
    job.report(job.pods()[0], 0)

    assert job.outcome()[0] == "Complete"


@pytest.mark.parametrize("code", sorted(PERMANENT))
def test_a_permanent_code_fails_the_job(namespace: str, code: int) -> None:
    """At once: no second pod, though the backoff limit would allow it."""
    job = started(namespace)
    job.report(job.pods()[0], code)

    assert job.outcome() == ("Failed", "PodFailurePolicy")
    assert job.status()["failed"] == 1


def test_a_passing_failure_is_tried_again(namespace: str) -> None:
    """One Job for each code: a new pod comes after ten seconds, and may succeed."""
    jobs = [(started(namespace), code) for code in sorted(RETRYABLE)]
    for job, code in jobs:
        job.report(job.pods()[0], code)
    for job, _ in jobs:
        job.report(job.pods()[0], 0)

    found = [(job.outcome()[0], job.status()["failed"]) for job, _ in jobs]

    assert found == [("Complete", 1)] * len(jobs)


def test_a_drained_pod_does_not_count(namespace: str) -> None:
    """Whatever its code: the first rule of the policy comes before the codes."""
    job = started(namespace)
    job.report(job.pods()[0], 13, DRAINED)
    job.report(job.pods()[0], 0)

    assert job.outcome()[0] == "Complete"
    assert "failed" not in job.status()


def test_a_broken_database_stops_no_other(namespace: str) -> None:
    """In the Indexed Job one index fails for good, and the others come to their end."""
    job = started(namespace, "components/indexed")
    for index, pod in enumerate(job.pods(3)):
        job.report(pod, 13 if index == 1 else 0)

    outcome = job.outcome()

    status = job.status()
    assert outcome == ("Failed", "FailedIndexes")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1", "0,2")

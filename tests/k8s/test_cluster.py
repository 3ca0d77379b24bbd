"""
A real API server takes the manifests, and its Job controller acts on our exit codes.

No image is pulled and no database asked: the pods fit no node, and the tests report for
them what a kubelet would.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from migrator.exit_codes import PERMANENT, RETRYABLE
from tests.k8s import custom
from tests.k8s.cluster import DRAINED, NOWHERE, Job, report
from tests.k8s.manifests import CHART, CHART_VALUES, MANIFESTS, objects, workloads
from tests.k8s.restricted import violations
from tests.k8s.tools import helm, kubectl, output, run


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


def started(namespace: str, manifest: str = "base") -> Job:
    """Make the Job of a manifest."""
    (one,) = [one for one in workloads(manifest) if one["kind"] == "Job"]
    job = Job(namespace, f"migrator-{uuid4().hex[:6]}")
    one["metadata"] = {"name": job.name}
    one["spec"]["template"]["spec"]["nodeSelector"] = NOWHERE
    command = (kubectl(), "apply", "--namespace", namespace, "--filename", "-")
    output(*command, stdin=yaml.safe_dump(one))
    return job


@contextmanager
def helming(namespace: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run helm beside the block, for a release of our chart; ended with the block."""
    command = (helm(), *arguments, "--namespace", namespace)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def values(tmp_path: Path) -> str:
    """The chart's values for a Job that finds no node, as a file."""
    path = tmp_path / "values.json"
    path.write_text(json.dumps(CHART_VALUES["chart"] | {"nodeSelector": NOWHERE}))
    return str(path)


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
    job.report(0)

    assert job.outcome()[0] == "Complete"


@pytest.mark.parametrize("code", sorted(PERMANENT))
def test_a_permanent_code_fails_the_job(namespace: str, code: int) -> None:
    """At once: no second pod, though the backoff limit would allow it."""
    job = started(namespace)
    job.report(code)

    assert job.outcome() == ("Failed", "PodFailurePolicy")
    assert job.status()["failed"] == 1


def test_a_passing_failure_is_tried_again(namespace: str) -> None:
    """One Job for each code: a new pod comes after ten seconds, and may succeed."""
    jobs = [(started(namespace), code) for code in sorted(RETRYABLE)]
    for job, code in jobs:
        job.report(code)
    for job, _ in jobs:
        job.report(0)

    found = [(job.outcome()[0], job.status()["failed"]) for job, _ in jobs]

    assert found == [("Complete", 1)] * len(jobs)


def test_a_drained_pod_does_not_count(namespace: str) -> None:
    """Whatever its code: the first rule of the policy comes before the codes."""
    job = started(namespace)
    job.report(13, DRAINED)
    job.report(0)

    assert job.outcome()[0] == "Complete"
    assert "failed" not in job.status()


def test_a_broken_database_stops_no_other(namespace: str) -> None:
    """In the Indexed Job one index fails for good, and the others come to their end."""
    job = started(namespace, "components/indexed")
    for index, pod in enumerate(job.pods(3)):
        report(namespace, pod, 13 if index == 1 else 0)

    outcome = job.outcome()

    status = job.status()
    assert outcome == ("Failed", "FailedIndexes")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1", "0,2")


def test_a_release_comes_after_its_migrations(namespace: str, values: str) -> None:
    """Helm waits for the hook, then says what happened; so does `helm test`."""
    release = f"good-{uuid4().hex[:6]}"
    given = (str(CHART), "--values", values)
    with helming(namespace, "install", release, *given) as installing:
        Job(namespace, f"{release}-migrator").report(0)
        said, _ = installing.communicate(timeout=60)
    with helming(namespace, "test", release) as testing:
        where = ("--namespace", namespace, "--output=json")
        output(
            *(kubectl(), "wait", f"pod/{release}-migrator-test"),
            *("--for=create", "--timeout=60s", "--namespace", namespace),
        )
        pod = output(kubectl(), "get", "pod", f"{release}-migrator-test", *where)
        report(namespace, json.loads(pod), 3)
        testing.communicate(timeout=60)

    assert (installing.returncode, "STATUS: deployed" in said) == (0, True)
    assert f"are applied: Job {release}-migrator was through" in said
    assert testing.returncode != 0


def test_a_release_fails_with_its_migrations(namespace: str, values: str) -> None:
    """Long before Helm's time is up, and the failed Job makes way for the next try."""
    release = f"bad-{uuid4().hex[:6]}"
    given = (str(CHART), "--values", values)
    job = Job(namespace, f"{release}-migrator")
    with helming(namespace, "install", release, *given) as installing:
        job.report(13)
        said, _ = installing.communicate(timeout=60)
    outcome = job.outcome()
    with helming(namespace, "upgrade", release, *given) as upgrading:
        job.report(0)
        upgrading.communicate(timeout=60)

    assert installing.returncode != 0
    assert "failed pre-install" in said
    assert outcome == ("Failed", "PodFailurePolicy")
    assert (upgrading.returncode, job.outcome()[0]) == (0, "Complete")


def test_each_revision_has_a_job_of_its_own(namespace: str, values: str) -> None:
    """In mode `job` an upgrade makes a new one, and takes the old one away."""
    release = f"job-{uuid4().hex[:6]}"
    given = (str(CHART), "--values", values, "--set", "mode=job")
    output(helm(), "install", release, *given, "--namespace", namespace)
    output(helm(), "upgrade", release, *given, "--namespace", namespace)

    selector = f"--selector=app.kubernetes.io/instance={release}"
    found = output(
        *(kubectl(), "get", "job", selector, "--namespace", namespace),
        "--output=name",
    )
    assert found.split() == [f"job.batch/{release}-migrator-r2"]

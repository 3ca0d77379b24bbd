"""A real API server takes the manifests; nothing of them is kept."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml

from tests.k8s import custom
from tests.k8s.manifests import MANIFESTS, objects, workloads
from tests.k8s.restricted import violations
from tests.k8s.tools import kubectl, output, run


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


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_server_takes_it(manifest: str, namespace: str) -> None:
    """Validated and admitted as if it were made, without a warning."""
    known = [one for one in objects(manifest) if one["apiVersion"] not in custom.SPECS]
    if not known:
        pytest.skip("cluster: it may lack the operator of these objects")
    text = yaml.safe_dump_all(known)

    done = run(
        *(kubectl(), "apply", "--dry-run=server", "--validate=strict"),
        *("--namespace", namespace, "--filename", "-"),
        stdin=text,
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

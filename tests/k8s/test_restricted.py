"""The checker of the "restricted" profile can fail, rule by rule."""

from copy import deepcopy
from typing import Any

import pytest

from tests.k8s.manifests import Object, objects, pod_spec
from tests.k8s.restricted import violations


def changed(pod: Object, path: str, value: Any) -> Object:
    """Return a copy with the value at a path of keys and indexes; None removes it."""
    copy = deepcopy(pod)
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    place: Any = copy
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("hostNetwork", True, "pod: hostNetwork"),
        ("hostPID", True, "pod: hostPID"),
        ("hostIPC", True, "pod: hostIPC"),
        ("volumes", [{"name": "v", "hostPath": {"path": "/"}}], "pod: volume v"),
        (
            "securityContext.sysctls",
            [{"name": "kernel.msgmax", "value": "1"}],
            "pod: sysctl kernel.msgmax",
        ),
        ("securityContext.runAsNonRoot", None, "migrator: runAsNonRoot"),
        ("securityContext.seccompProfile", None, "migrator: seccompProfile"),
        (
            "securityContext.windowsOptions",
            {"hostProcess": True},
            "pod: hostProcess",
        ),
        (
            "securityContext.appArmorProfile",
            {"type": "Unconfined"},
            "pod: appArmorProfile",
        ),
        ("securityContext.seLinuxOptions", {"user": "u"}, "pod: seLinuxOptions"),
        (
            "containers.0.securityContext.seLinuxOptions",
            {"type": "spc_t"},
            "migrator: seLinuxOptions",
        ),
        (
            "containers.0.securityContext.allowPrivilegeEscalation",
            None,
            "migrator: allowPrivilegeEscalation",
        ),
        (
            "containers.0.securityContext.capabilities",
            None,
            "migrator: capabilities.drop",
        ),
        (
            "containers.0.securityContext.capabilities.drop",
            ["NET_RAW"],
            "migrator: capabilities.drop",
        ),
        (
            "containers.0.securityContext.capabilities.add",
            ["NET_ADMIN"],
            "migrator: capabilities.add",
        ),
        ("containers.0.securityContext.privileged", True, "migrator: privileged"),
        ("containers.0.securityContext.runAsUser", 0, "migrator: runAsUser"),
        ("containers.0.securityContext.runAsNonRoot", False, "migrator: runAsNonRoot"),
        (
            "containers.0.securityContext.seccompProfile",
            {"type": "Unconfined"},
            "migrator: seccompProfile",
        ),
        ("containers.0.securityContext.procMount", "Unmasked", "migrator: procMount"),
        (
            "containers.0.ports",
            [{"containerPort": 80, "hostPort": 80}],
            "migrator: hostPort",
        ),
        (
            "containers.0.livenessProbe",
            {"tcpSocket": {"port": 80, "host": "192.0.2.1"}},
            "migrator: probe or hook to another host",
        ),
    ],
)
def test_one_broken_line_is_one_violation(
    path: str, value: object, expected: str
) -> None:
    """Whatever line of the shipped Job is broken, the checker names just that one."""
    (job,) = objects("base")

    found = violations(changed(pod_spec(job), path, value))

    assert found == (expected,)


def test_no_container_corrects_a_pod_that_runs_as_root() -> None:
    """User 0 in the pod's words is forbidden there and in who inherits it."""
    (job,) = objects("base")

    found = violations(changed(pod_spec(job), "securityContext.runAsUser", 0))

    assert found == ("pod: runAsUser", "migrator: runAsUser")


def test_an_init_container_is_no_exception() -> None:
    """A broken init container is found beside a service that is in order."""
    (deployment,) = objects("examples/init-container.yaml")
    path = "initContainers.0.securityContext"

    found = violations(changed(pod_spec(deployment), path, None))

    assert found == (
        "migrator: allowPrivilegeEscalation",
        "migrator: capabilities.drop",
    )


def test_a_bare_pod_breaks_every_rule_that_asks_for_a_line() -> None:
    """What is not said is not allowed."""
    found = violations({"containers": [{"name": "bare"}]})

    assert found == (
        "bare: allowPrivilegeEscalation",
        "bare: capabilities.drop",
        "bare: runAsNonRoot",
        "bare: seccompProfile",
    )

"""
The Pod Security profile "restricted", as rules over a pod's spec.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, and for
volumes of an image k8s.io/pod-security-admission, `policy/check_restrictedVolumes.go`,
from 0.33 on.
Not read: annotations (AppArmor before Kubernetes 1.30), `spec.os` (what Windows is
spared), the relaxation for user namespaces.
"""

from collections.abc import Iterator

from tests.k8s.manifests import Object


VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SECCOMP = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR = frozenset({None, "RuntimeDefault", "Localhost"})
SELINUX = frozenset(
    {
        None,
        "",
        "container_t",
        "container_init_t",
        "container_kvm_t",
        "container_engine_t",
    }
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


def violations(pod: Object) -> tuple[str, ...]:
    """Return what the profile forbids in a pod, each as `where: rule`."""
    return tuple(_violations(pod))


def _violations(pod: Object) -> Iterator[str]:
    yield from (f"pod: {rule}" for rule in _of_pod(pod))
    outer = pod.get("securityContext", {})
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, []):
            own = container.get("securityContext", {})
            rules = [
                *_of_container(container, own),
                *_of_either(own),
                *_of_both(outer | own),
            ]
            yield from (f"{container['name']}: {rule}" for rule in rules)


def _of_pod(pod: Object) -> Iterator[str]:
    """Yield what a pod alone can do wrong, and what no container can correct."""
    context = pod.get("securityContext", {})
    for namespace in ("hostIPC", "hostNetwork", "hostPID"):
        if pod.get(namespace):
            yield namespace
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']}"
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if context.get("runAsUser") == 0:
        yield "runAsUser"
    if "seccompProfile" in context and context["seccompProfile"]["type"] not in SECCOMP:
        yield "seccompProfile"
    yield from _of_either(context)


def _of_container(container: Object, context: Object) -> Iterator[str]:
    """Yield what only a container's own words can do wrong."""
    capabilities = context.get("capabilities", {})
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities.drop"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    if any(_names_host(handler) for handler in _handlers(container)):
        yield "probe or hook to another host"


def _of_either(context: Object) -> Iterator[str]:
    """Yield what is wrong wherever it stands, in the pod or in a container."""
    options = context.get("seLinuxOptions", {})
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if context.get("appArmorProfile", {}).get("type") not in APPARMOR:
        yield "appArmorProfile"
    if options.get("type") not in SELINUX or options.keys() & {"user", "role"}:
        yield "seLinuxOptions"


def _of_both(context: Object) -> Iterator[str]:
    """Yield what is wrong in a container's words laid over its pod's."""
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield "runAsUser"
    if context.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "seccompProfile"


def _handlers(container: Object) -> Iterator[Object]:
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield container.get(probe, {})
    yield from container.get("lifecycle", {}).values()


def _names_host(handler: Object) -> bool:
    return any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket"))

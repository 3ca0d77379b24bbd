"""The shipped manifests, as the objects that an API server would be given."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.k8s.tools import helm, kubectl, output


Object = dict[str, Any]

K8S = Path(__file__).parents[2] / "k8s"
CHART = K8S / "chart"
SERVICE_CHART = "examples/service-chart"
VERIFIED = {
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/etc/migrator/database/ca.crt",
    "PGREQUIREAUTH": "scram-sha-256",
}
"""What libpq takes where the URL does not say."""

_GIVEN: Object = {
    "image": {"tag": "1.0.0"},
    "database": {"existingSecret": {"name": "migrator"}},
}
CHART_VALUES: Mapping[str, Object] = {
    "chart": _GIVEN,
    "chart job": _GIVEN | {"mode": "job"},
    "chart url": _GIVEN | {"database": {"url": "postgresql://u:s3cr3t@db/shop"}},
    "chart url job": _GIVEN
    | {
        "mode": "job",
        "database": {"url": "postgresql://u:s3cr3t@db/shop", "sslmode": "disable"},
        "runAsUser": None,
    },
    "chart variable": _GIVEN
    | {"database": {"existingSecret": {"name": "migrator"}, "asVariable": True}},
    "chart configmap": _GIVEN | {"migrations": {"configMap": "migrations"}},
    "chart image volume": _GIVEN
    | {
        "image": {"digest": f"sha256:{'0' * 64}"},
        "migrations": {"image": "registry.example.com/files:1.0.0"},
    },
    "chart parts": {
        "image": {"tag": "1.0.0"},
        "env": [
            {"name": "PGHOST", "value": "db"},
            {
                "name": "PGPASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}},
            },
        ],
    },
    "chart everything": {
        "image": {"tag": "1.0.0", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "database": {
            "existingSecret": {"name": "db", "key": "uri"},
            "rootCertificate": "system",
            "requireAuth": "",
        },
        "settings": {
            "LOCK_TIMEOUT": "10s",
            "ALLOW_MISSING": True,
            "TARGET": 20250101120000,
        },
        "args": ["up-to"],
        "envFrom": [{"configMapRef": {"name": "more"}}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
        "hook": {"timeoutSeconds": 900, "weight": -10},
        "backoffLimit": 0,
        "serviceAccountName": "default",
        "annotations": {"example.com/a": "b"},
        "labels": {"example.com/l": "m"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "podLabels": {"example.com/team": "shop"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "fullnameOverride": "shop-schema",
    },
}
"""Values that the chart is rendered with, by the name of what comes out."""

FOLDERS = tuple(
    str(path.parent.relative_to(K8S))
    for path in sorted(K8S.rglob("kustomization.yaml"))
)
FILES = tuple(
    str(path.relative_to(K8S)) for path in sorted((K8S / "examples").glob("*.yaml"))
)
MANIFESTS = (*FOLDERS, *FILES, *CHART_VALUES, SERVICE_CHART)
"""All that somebody applies: folders for kustomize, files, charts with their values."""


def objects(manifest: str) -> list[Object]:
    """Return the objects of a manifest; a component's are those of the base with it."""
    return [one for one in yaml.safe_load_all(_rendered(manifest)) if one is not None]


def workloads(manifest: str) -> list[Object]:
    """Return those objects that make pods."""
    return [one for one in objects(manifest) if _template(one) is not None]


def jobs(manifest: str) -> list[Object]:
    """Return the specs of Jobs, also of those that a CronJob makes."""
    return [
        one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
        for one in objects(manifest)
        if one["kind"] in {"Job", "CronJob"}
    ]


def pod_spec(workload: Object) -> Object:
    """Return the pod that an object makes."""
    spec = _template(workload)
    assert spec is not None
    return spec


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, the init containers first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def migrators(pod: Object) -> list[Object]:
    """Return the containers of a pod that run the migrator, whatever its command."""
    names = {"migrator", "wait-for-schema"}
    return [one for one in containers(pod) if one["name"] in names]


def kustomized(folder: Path) -> str:
    """Return what `kubectl kustomize` makes of a folder; needs no cluster."""
    return output(kubectl(), "kustomize", str(folder))


def with_values(values: Object, *arguments: str, chart: Path = CHART) -> str:
    """Return what `helm template` makes of a chart; needs no cluster."""
    command = (helm(), "template", "shop", str(chart), "--values", "-", *arguments)
    return output(*command, stdin=json.dumps(values))


@cache
def _rendered(manifest: str) -> str:
    if manifest in CHART_VALUES:
        return with_values(CHART_VALUES[manifest])
    if manifest == SERVICE_CHART:
        return _with_dependencies(K8S / manifest)
    if manifest.startswith("components/"):
        return _over_the_base(manifest)
    path = K8S / manifest
    return path.read_text() if path.is_file() else kustomized(path)


def _over_the_base(component: str) -> str:
    with tempfile.TemporaryDirectory() as made:
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(K8S / "base", made)],
            "components": [os.path.relpath(K8S / component, made)],
        }
        (Path(made) / "kustomization.yaml").write_text(json.dumps(overlay))
        return kustomized(Path(made))


def _with_dependencies(chart: Path) -> str:
    """Render a chart beside a copy of all others: its dependencies are paths."""
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made) / "k8s"
        shutil.copytree(K8S, copy)
        own = copy / chart.relative_to(K8S)
        output(helm(), "dependency", "update", "--skip-refresh", str(own))
        return with_values({}, chart=own)


def _template(one: Object) -> Object | None:
    """Return the spec of the pods of an object; None when it makes none."""
    spec: Object = one.get("spec", {})
    if one["kind"] == "Pod":
        return spec
    outer: Object = spec.get("jobTemplate", {}).get("spec", spec)
    template: Object = outer.get("template", {})
    return template.get("spec")


def environment(container: Object, secret: str) -> Iterator[tuple[str, str]]:
    """
    Yield a container's variables as the kubelet sets them; each Secret holds *secret*.

    `$(NAME)` is what a variable above says; with another name it stays as it is
    (kubernetes: `third_party/forked/golang/expansion`).
    """
    known: dict[str, str] = {}
    for one in container.get("env", []):
        text = one.get("value", secret)
        if "fieldRef" in one.get("valueFrom", {}):
            text = "0"
        for name, value in known.items():
            text = text.replace(f"$({name})", value)
        known[one["name"]] = text
        yield one["name"], text

"""The shipped manifests, as the objects that an API server would be given."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml


Object = dict[str, Any]

K8S = Path(__file__).parents[2] / "k8s"
KUBECTL = shutil.which("kubectl")

BASE = K8S / "base"
HELM_HOOK = K8S / "examples" / "helm-hook.yaml"
INIT_CONTAINER = K8S / "examples" / "init-container.yaml"

MANIFESTS = (
    *sorted(path.parent for path in K8S.rglob("kustomization.yaml")),
    *sorted((K8S / "examples").glob("*.yaml")),
)
"""What somebody applies: a folder for kustomize, or a file as it is."""


def objects(manifest: Path) -> list[Object]:
    """Return the objects of a file, or of a folder as kustomize renders it."""
    return list(yaml.safe_load_all(_rendered(manifest)))


def concatenated(folder: Path) -> str:
    """
    Return the resources that a kustomization lists, one after the other.

    All that can be said without kubectl, and only true where nothing is patched,
    renamed or generated: every field but `resources` is refused.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    others = kustomization.keys() - {"apiVersion", "kind", "resources"}
    if others:
        raise ValueError(
            f"{folder}: {sorted(others)} cannot be rendered without kubectl"
        )
    files = [folder / resource for resource in kustomization["resources"]]
    return "\n---\n".join(file.read_text() for file in files)


def kustomized(kubectl: str, folder: Path) -> str:
    """Return what `kubectl kustomize` makes of a folder; needs no cluster."""
    command = [kubectl, "kustomize", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pod_spec(workload: Object) -> Object:
    """Return the pod that a Job or a Deployment makes."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, the init containers first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def migrators(pod: Object) -> list[Object]:
    """Return the containers of a pod that migrate."""
    return [one for one in containers(pod) if one["name"] == "migrator"]


@cache
def _rendered(manifest: Path) -> str:
    if manifest.is_file():
        return manifest.read_text()
    return kustomized(KUBECTL, manifest) if KUBECTL else concatenated(manifest)

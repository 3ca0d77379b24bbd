"""The shipped manifests are valid, hardened, and agree with the exit codes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import ValidationError, validate

from migrator.exits import PERMANENT
from migrator.settings import Settings, read_settings
from migrator.values import Secret
from tests.k8s.manifests import (
    BASE,
    HELM_HOOK,
    INIT_CONTAINER,
    K8S,
    KUBECTL,
    MANIFESTS,
    Object,
    concatenated,
    containers,
    kustomized,
    migrators,
    objects,
    pod_spec,
)
from tests.k8s.restricted import violations


# 1.29 is the oldest whose API takes podReplacementPolicy without a feature gate.
MINORS = ("1.29", "1.31", "1.34", "1.37")
HELM_TIMEOUT_S = 300
JOBS = (BASE, HELM_HOOK)

each_manifest = pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda path: str(path.relative_to(K8S))
)
each_job = pytest.mark.parametrize(
    "manifest", JOBS, ids=lambda path: str(path.relative_to(K8S))
)


def settings(pod: Object) -> Settings:
    """Return what the migrator reads in a pod; each Secret holds an example DSN."""
    (container,) = migrators(pod)
    environ = {
        one["name"]: one.get("value", "postgresql://db.example.com/shop")
        for one in container["env"]
    }
    return read_settings(environ, secrets_dir=Path("/nonexistent"))


def is_pinned(image: str) -> bool:
    """Tell whether an image names one version: a digest, or a tag but `latest`."""
    name = image.rpartition("/")[2]
    return "@" in name or (":" in name and not name.endswith(":latest"))


@pytest.mark.parametrize("minor", MINORS)
@each_manifest
def test_the_api_knows_every_field(manifest: Path, minor: str) -> None:
    """Each object fits the schema of each Kubernetes version, no field unknown."""
    found = objects(manifest)

    checked_against = [validate(one, minor, strict=True) for one in found]

    assert found
    assert checked_against == [minor] * len(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("backoffLimits", 4, id="unknown-field"),
        pytest.param("backoffLimit", "4", id="wrong-type"),
        pytest.param("podFailurePolicy", {"rules": [{}]}, id="missing-field"),
    ],
)
def test_the_schema_check_can_fail(field: str, value: Any) -> None:
    """A misspelt field, a wrong type and a missing field are refused."""
    (job,) = objects(BASE)
    job["spec"][field] = value

    with pytest.raises(ValidationError):
        validate(job, MINORS[-1], strict=True)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl renders the other side")
def test_base_renders_the_same_without_kubectl() -> None:
    """Where kubectl is missing, the other tests still see what it would have made."""
    assert KUBECTL is not None
    rendered = yaml.safe_load_all(kustomized(KUBECTL, BASE))

    read = yaml.safe_load_all(concatenated(BASE))

    assert list(read) == list(rendered)


@each_manifest
def test_pods_fit_the_restricted_profile(manifest: Path) -> None:
    """A namespace that enforces Pod Security "restricted" takes every pod."""
    found = {
        one["metadata"]["name"]: violations(pod_spec(one)) for one in objects(manifest)
    }

    assert found == dict.fromkeys(found, ())


@each_manifest
def test_pods_carry_nothing_they_do_not_need(manifest: Path) -> None:
    """No token, no service links, no writable root; a bounded appetite."""
    for workload in objects(manifest):
        pod = pod_spec(workload)
        found = {
            "automountServiceAccountToken": pod["automountServiceAccountToken"],
            "enableServiceLinks": pod["enableServiceLinks"],
            "terminationGracePeriodSeconds": pod["terminationGracePeriodSeconds"],
            "runAsUser": pod["securityContext"]["runAsUser"],
            "readOnlyRootFilesystem": {
                one["securityContext"]["readOnlyRootFilesystem"]
                for one in containers(pod)
            },
            "without resources": [
                one["name"]
                for one in containers(pod)
                if not {"requests", "limits"} <= one["resources"].keys()
            ],
        }

        assert found == {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 60,
            "runAsUser": 65532,
            "readOnlyRootFilesystem": {True},
            "without resources": [],
        }


@each_manifest
def test_the_dsn_comes_from_a_secret(manifest: Path) -> None:
    """Each workload has one migrator, and nobody can read its password in git."""
    for workload in objects(manifest):
        (container,) = migrators(pod_spec(workload))
        sources = [
            one for one in container["env"] if one["name"] == "MIGRATOR_DATABASE_URL"
        ]

        assert sources == [
            {
                "name": "MIGRATOR_DATABASE_URL",
                "valueFrom": {
                    "secretKeyRef": {"name": "migrator", "key": "database-url"}
                },
            }
        ]


@each_manifest
def test_images_are_pinned_placeholders(manifest: Path) -> None:
    """No image floats, and none is somebody's real one."""
    images = [
        one["image"]
        for workload in objects(manifest)
        for one in containers(pod_spec(workload))
    ]

    wrong = [
        image
        for image in images
        if not is_pinned(image) or not image.startswith("registry.example.com/")
    ]

    assert wrong == []


def test_a_floating_image_is_seen() -> None:
    """No tag means `latest`, and a registry's port is no tag."""
    images = (
        "migrator",
        "migrator:latest",
        "registry.example.com:5000/migrator",
        "registry.example.com:5000/migrator:latest",
        "registry.example.com:5000/migrator:1.0.0",
        "migrator@sha256:0123",
    )

    pinned = tuple(image for image in images if is_pinned(image))

    assert pinned == images[-2:]


@each_job
def test_the_job_stops_at_the_permanent_codes(manifest: Path) -> None:
    """
    A drained pod is never counted; then the codes that no new attempt can mend.

    The order is the API's: the first rule that matches decides.
    """
    (job,) = objects(manifest)

    rules = job["spec"]["podFailurePolicy"]["rules"]

    assert rules == [
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": "migrator",
                "operator": "In",
                "values": sorted(int(code) for code in PERMANENT),
            },
        },
    ]


@each_job
def test_the_job_keeps_its_pods_apart_and_readable(manifest: Path) -> None:
    """Attempts do not overlap, and a failed pod stays with its log and message."""
    (job,) = objects(manifest)
    spec = job["spec"]

    found = {
        "restartPolicy": pod_spec(job)["restartPolicy"],
        "podReplacementPolicy": spec["podReplacementPolicy"],
        "ttlSecondsAfterFinished": spec["ttlSecondsAfterFinished"],
    }

    assert found == {
        "restartPolicy": "Never",
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": 86400,
    }


@each_manifest
def test_the_migrator_reads_its_environment(manifest: Path) -> None:
    """No variable is unknown, which would end the run with code 2."""
    urls = [settings(pod_spec(workload)).database_url for workload in objects(manifest)]

    assert urls == [Secret("postgresql://db.example.com/shop")] * len(urls)


@each_job
def test_the_migrator_ends_before_the_job_does(manifest: Path) -> None:
    """The Job's deadline deletes the pod, so the migrator's own one comes first."""
    (job,) = objects(manifest)

    own_s = settings(pod_spec(job)).deadline

    assert 0 < own_s < job["spec"]["activeDeadlineSeconds"]


def test_the_hook_ends_before_helm_gives_up() -> None:
    """Helm sees a failed Job, also when the last pod takes all of its grace period."""
    (job,) = objects(HELM_HOOK)
    grace_s = pod_spec(job)["terminationGracePeriodSeconds"]

    assert job["spec"]["activeDeadlineSeconds"] + grace_s < HELM_TIMEOUT_S


def test_the_hook_runs_first_and_stays_to_be_read() -> None:
    """Before everything else of the release; deleted by the next run only."""
    (job,) = objects(HELM_HOOK)

    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-weight": "-5",
        "helm.sh/hook-delete-policy": "before-hook-creation",
        "helm.sh/hook-output-log-policy": "hook-failed",
    }


def test_helm_renders_the_hook_as_it_is() -> None:
    """Nothing in the file, not even a comment, is template syntax."""
    assert re.findall(r"{{|}}", HELM_HOOK.read_text()) == []


def test_a_failed_rollout_leaves_the_old_pods_serving() -> None:
    """Nothing is taken away before a pod with the new schema is ready."""
    (deployment,) = objects(INIT_CONTAINER)

    strategy = deployment["spec"]["strategy"]

    assert strategy == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_the_readme_leads_to_every_file() -> None:
    """Each manifest has its row, and each link of the table has its file."""
    text = (K8S / "README.md").read_text()
    linked = {K8S / target for target in re.findall(r"\]\(([\w./-]+)\)", text)}

    inside = {path for path in linked if path.resolve().is_relative_to(K8S)}

    assert inside == set(MANIFESTS)


@pytest.mark.skipif(KUBECTL is None, reason="nothing else renders an overlay")
def test_the_readme_overlay_works(tmp_path: Path) -> None:
    """The overlay that is printed there gives the Job a new name and image."""
    assert KUBECTL is not None
    (overlay,) = re.findall(
        r"```yaml\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL
    )
    (tmp_path / "kustomization.yaml").write_text(overlay)
    (tmp_path / "migrator").mkdir()
    for file in BASE.iterdir():
        (tmp_path / "migrator" / file.name).write_bytes(file.read_bytes())

    (job,) = yaml.safe_load_all(kustomized(KUBECTL, tmp_path))

    assert (
        job["metadata"]["namespace"],
        job["metadata"]["name"],
        pod_spec(job)["containers"][0]["image"],
    ) == ("my-service", "migrator-1-4-2", "registry.example.com/shop/migrations:1.4.2")

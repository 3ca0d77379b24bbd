"""The shipped manifests are valid, hardened, and agree with the exit codes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import ValidationError, validate

from migrator.config.arguments import parse_arguments
from migrator.config.settings import Settings, read_settings
from migrator.config.types import Secret
from migrator.exit_codes import PERMANENT, ExitCode
from tests.k8s import custom
from tests.k8s.manifests import (
    CHART_VALUES,
    K8S,
    MANIFESTS,
    SERVICE_CHART,
    VERIFIED,
    Object,
    containers,
    environment,
    jobs,
    kustomized,
    migrators,
    objects,
    pod_spec,
    workloads,
)
from tests.k8s.restricted import violations


# 1.29 is the oldest whose API takes podReplacementPolicy without a feature gate.
MINORS = ("1.29", "1.31", "1.33", "1.35", "1.37")
NEWER = {"components/image-volume": "1.33", "chart image volume": "1.33"}
"""Manifests for newer versions only: volumes of an image are on from 1.33 or later."""

HELM_TIMEOUT_S = 300
DSN = "postgresql://db.example.com/shop"
CHECK = "examples/check.yaml"
HOOKS = ("examples/helm-hook.yaml", "chart", "chart url")

each_manifest = pytest.mark.parametrize("manifest", MANIFESTS)


def settings(container: Object) -> Settings:
    """Return what the migrator reads in a container; each Secret holds a DSN."""
    mounted = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    environ = dict(environment(container, DSN))
    for name in [name for name in environ if name.endswith("_FILE")]:
        assert str(Path(environ.pop(name)).parent) in mounted
        environ[name.removesuffix("_FILE")] = DSN
    given = parse_arguments(container.get("args", []))
    return read_settings(environ, given, secrets_dir=Path("/nonexistent"))


def is_pinned(image: str) -> bool:
    """Tell whether an image names one version: a digest, or a tag but `latest`."""
    name = image.rpartition("/")[2]
    return "@" in name or (":" in name and not name.endswith(":latest"))


@pytest.mark.parametrize(
    ("manifest", "minor"),
    [(m, v) for m in MANIFESTS for v in MINORS if v >= NEWER.get(m, MINORS[0])],
)
def test_the_api_knows_every_field(manifest: str, minor: str) -> None:
    """Each object fits the schema of each Kubernetes version, no field unknown."""
    found = objects(manifest)
    own = [one for one in found if one["apiVersion"] not in custom.SPECS]
    others = [one for one in found if one["apiVersion"] in custom.SPECS]

    checked_against = [validate(one, minor, strict=True) for one in own]

    assert found
    assert checked_against == [minor] * len(own)
    assert [custom.faults(one) for one in others] == [[]] * len(others)


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
    (job,) = objects("base")
    job["spec"][field] = value

    with pytest.raises(ValidationError):
        validate(job, MINORS[-1], strict=True)


def test_the_check_of_operators_objects_can_fail() -> None:
    """A misspelt field and a missing one are named."""
    first, _ = objects("examples/flux.yaml")
    first["spec"]["forse"] = first["spec"].pop("force")
    del first["spec"]["prune"]

    found = custom.faults(first)

    assert found == [
        "Additional properties are not allowed ('forse' was unexpected)",
        "'prune' is a required property",
    ]


@each_manifest
def test_pods_fit_the_restricted_profile(manifest: str) -> None:
    """A namespace that enforces Pod Security "restricted" takes every pod."""
    found = {
        one["metadata"]["name"]: violations(pod_spec(one))
        for one in workloads(manifest)
    }

    assert found == dict.fromkeys(found, ())


@each_manifest
def test_pods_carry_nothing_they_do_not_need(manifest: str) -> None:
    """No token, no service links, no writable root; a bounded appetite."""
    for workload in workloads(manifest):
        pod = pod_spec(workload)
        found = {
            "automountServiceAccountToken": pod["automountServiceAccountToken"],
            "enableServiceLinks": pod["enableServiceLinks"],
            "runAsUser": pod["securityContext"].get("runAsUser", 65532),
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
            "runAsUser": 65532,
            "readOnlyRootFilesystem": {True},
            "without resources": [],
        }


@each_manifest
def test_migrators_can_end_and_tell(manifest: str) -> None:
    """Who migrates has a minute for its rollback, and a killed one shows its log."""
    for workload in workloads(manifest):
        pod = pod_spec(workload)
        found = [one["terminationMessagePolicy"] for one in migrators(pod)]
        changes = [one for one in migrators(pod) if one["name"] == "migrator"]

        assert found == ["FallbackToLogsOnError"] * len(found)
        assert not changes or pod["terminationGracePeriodSeconds"] == 60


@each_manifest
def test_the_dsn_comes_from_a_secret(manifest: str) -> None:
    """Nobody can read a password in git: no variable of a pod holds one itself."""
    plain = [
        one
        for workload in workloads(manifest)
        for container in migrators(pod_spec(workload))
        for one in container.get("env", [])
        if "value" in one
        and (one["name"].endswith(("_URL", "PASSWORD")) or "://" in one["value"])
    ]

    assert plain == []


@each_manifest
def test_the_migrator_reads_its_environment(manifest: str) -> None:
    """No variable is unknown, which would end the run with code 2."""
    found = [
        settings(container).database_url
        for workload in workloads(manifest)
        for container in migrators(pod_spec(workload))
    ]

    expected = None if manifest == "chart parts" else Secret(DSN)
    assert found == [expected] * len(found)


@each_manifest
def test_every_workload_has_one_migrator(manifest: str) -> None:
    """Nothing is shipped that does not run it."""
    found = [len(migrators(pod_spec(one))) for one in workloads(manifest)]

    assert found == [1] * len(found)


@each_manifest
def test_images_are_pinned_placeholders(manifest: str) -> None:
    """No image floats, and none is somebody's real one."""
    images = [
        one["image"]
        for workload in workloads(manifest)
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


def by_default(manifest: str) -> bool:
    """Whether a manifest takes its URL and its TLS from where all others do."""
    return manifest not in {
        # the proxy in the same pod verifies the server
        "examples/proxy.yaml",
        "components/secret-env",
        "components/client-certificate",
        "chart variable",
        "chart parts",
        "chart everything",
        "chart url job",
    }


@each_manifest
def test_the_url_is_a_file_and_the_server_is_verified(manifest: str) -> None:
    """No Secret is a variable, and no password goes to a server of another name."""
    if not by_default(manifest):
        return
    for workload in workloads(manifest):
        for container in migrators(pod_spec(workload)):
            found = [one for one in container["env"] if "secretKeyRef" in str(one)]
            variables = {one["name"]: one.get("value") for one in container["env"]}

            assert found == []
            assert variables["MIGRATOR_DATABASE_URL_FILE"].startswith("/etc/migrator/")
            assert {name: variables.get(name) for name in VERIFIED} == VERIFIED


@each_manifest
def test_jobs_stop_at_the_permanent_codes(manifest: str) -> None:
    """
    A drained pod is never counted; then the codes that no new attempt can change.

    The order is the API's: the first rule that matches decides. A check also ends at
    pending migrations, which the next attempt would find as well.
    """
    more = {ExitCode.PENDING} if manifest == CHECK else set()
    for job in jobs(manifest):
        action = "FailIndex" if "completionMode" in job else "FailJob"

        assert job["podFailurePolicy"]["rules"] == [
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
            {
                "action": action,
                "onExitCodes": {
                    "containerName": "migrator",
                    "operator": "In",
                    "values": sorted(int(code) for code in PERMANENT | more),
                },
            },
        ]


@each_manifest
def test_jobs_keep_their_pods_apart_and_readable(manifest: str) -> None:
    """Attempts do not overlap, and a failed pod stays with its log and message."""
    for job in jobs(manifest):
        found = {
            "restartPolicy": job["template"]["spec"]["restartPolicy"],
            "podReplacementPolicy": job["podReplacementPolicy"],
            "ttlSecondsAfterFinished": job.get("ttlSecondsAfterFinished"),
        }

        assert found == {
            "restartPolicy": "Never",
            "podReplacementPolicy": "Failed",
            # what a CronJob leaves is counted, not timed
            "ttlSecondsAfterFinished": None if manifest == CHECK else 86400,
        }


@each_manifest
def test_the_migrator_ends_before_the_job_does(manifest: str) -> None:
    """The Job's deadline deletes the pod, so the migrator's own one comes first."""
    for job in jobs(manifest):
        (container,) = migrators(job["template"]["spec"])

        own_s = settings(container).deadline

        assert 0 < own_s < job["activeDeadlineSeconds"]


@pytest.mark.parametrize("manifest", HOOKS)
def test_the_hook_ends_before_helm_gives_up(manifest: str) -> None:
    """Helm sees a failed Job, also when the last pod takes all of its grace period."""
    (job,) = jobs(manifest)
    grace_s = job["template"]["spec"]["terminationGracePeriodSeconds"]

    assert job["activeDeadlineSeconds"] + grace_s < HELM_TIMEOUT_S


@pytest.mark.parametrize("manifest", HOOKS)
def test_the_hook_runs_first_and_stays_to_be_read(manifest: str) -> None:
    """Before everything else of the release; deleted by the next run only."""
    (job,) = [one for one in objects(manifest) if one["kind"] == "Job"]

    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-weight": "-5",
        "helm.sh/hook-delete-policy": "before-hook-creation",
        "helm.sh/hook-output-log-policy": "hook-failed",
    }


def test_helm_renders_the_hook_as_it_is() -> None:
    """Nothing in the file, not even a comment, is template syntax."""
    text = (K8S / "examples/helm-hook.yaml").read_text()

    assert re.findall(r"{{|}}", text) == []


def test_argo_cd_runs_the_job_before_the_sync() -> None:
    """As a hook of Argo CD's own, deleted by the next one only."""
    (job,) = objects("examples/argo-cd")

    assert job["metadata"]["annotations"] == {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
        "argocd.argoproj.io/sync-wave": "-1",
    }


@pytest.mark.parametrize(
    "manifest",
    [f"examples/{name}.yaml" for name in ("init-container", "proxy", "wait")]
    + [SERVICE_CHART],
)
def test_a_failed_rollout_leaves_the_old_pods_serving(manifest: str) -> None:
    """Nothing is taken away before a pod with the new schema is ready."""
    (deployment,) = [one for one in objects(manifest) if one["kind"] == "Deployment"]

    strategy = deployment["spec"]["strategy"]

    assert strategy == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("manifest", ["components/indexed", "examples/tenants"])
def test_each_index_has_its_database_and_its_attempts(manifest: str) -> None:
    """The file is named by the index; no limit counts the failures of all together."""
    (job,) = jobs(manifest)
    (container,) = migrators(job["template"]["spec"])

    assert dict(environment(container, DSN)) == {
        "JOB_COMPLETION_INDEX": "0",
        "MIGRATOR_DATABASE_URL_FILE": "/etc/migrator/database/0",
        **VERIFIED,
        "MIGRATOR_DEADLINE": "50m",
    }
    assert ("backoffLimit" in job, job["backoffLimitPerIndex"]) == (False, 4)


def test_the_proxy_runs_before_the_migrator() -> None:
    """A native sidecar above it, which has answered before the migrator starts."""
    (deployment,) = objects("examples/proxy.yaml")
    proxy, migrator = pod_spec(deployment)["initContainers"]

    assert (proxy["restartPolicy"], "startupProbe" in proxy) == ("Always", True)
    assert migrator["name"] == "migrator"
    assert "restartPolicy" not in migrator


def test_flux_waits_for_the_job() -> None:
    """The service comes after a Job that is complete, whose own deadline is shorter."""
    migrations, service = objects("examples/flux.yaml")
    (job,) = jobs("base")
    minutes = int(migrations["spec"]["timeout"].removesuffix("m"))

    assert migrations["spec"]["wait"]
    assert service["spec"]["dependsOn"] == [{"name": migrations["metadata"]["name"]}]
    assert job["activeDeadlineSeconds"] < minutes * 60


def test_the_readme_leads_to_every_file() -> None:
    """Each manifest has its row, and each link of the table has its file."""
    text = (K8S / "README.md").read_text()
    linked = {K8S / target for target in re.findall(r"\]\(([\w./-]+)\)", text)}

    inside = {
        path
        for path in linked
        if path.resolve().is_relative_to(K8S) and path.suffix != ".md"
    }

    values = K8S / "chart/values.yaml"
    expected = {K8S / name for name in MANIFESTS if name not in CHART_VALUES}
    compose = K8S / "compose/linger.yaml"
    assert inside == {*expected, K8S / "chart", values, compose}


def test_the_readme_overlay_works(tmp_path: Path) -> None:
    """The overlay that is printed there gives the Job a new name and image."""
    (overlay,) = re.findall(
        r"```yaml\n(apiVersion: kustomize.*?)```",
        (K8S / "README.md").read_text(),
        re.DOTALL,
    )
    (tmp_path / "kustomization.yaml").write_text(overlay)
    (tmp_path / "migrator").mkdir()
    for file in (K8S / "base").iterdir():
        (tmp_path / "migrator" / file.name).write_bytes(file.read_bytes())

    (job,) = yaml.safe_load_all(kustomized(tmp_path))

    assert (
        job["metadata"]["namespace"],
        job["metadata"]["name"],
        pod_spec(job)["containers"][0]["image"],
    ) == ("my-service", "migrator-1-4-2", "registry.example.com/shop/migrations:1.4.2")

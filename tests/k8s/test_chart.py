"""The Helm chart: its values are checked, its templates can be included, its notes hold."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.chart import renewed, schema
from tests.k8s.manifests import (
    CHART,
    CHART_VALUES,
    K8S,
    SERVICE_CHART,
    VERIFIED,
    Object,
    objects,
    pod_spec,
    with_values,
)
from tests.k8s.tools import helm, output, run


GIVEN = CHART_VALUES["chart"]


def refused(values: Object) -> str:
    """Why helm renders nothing."""
    command = (helm(), "template", "shop", str(CHART), "--values", "-")
    done = run(*command, stdin=json.dumps(values))
    assert done.returncode != 0
    return done.stderr


def kinds(manifest: str) -> list[tuple[str, str]]:
    """Kind and name of all that is rendered."""
    return [(one["kind"], one["metadata"]["name"]) for one in objects(manifest)]


def parent(folder: Path, template: str, values: Object) -> list[Object]:
    """Render a chart of one template that has ours vendored in `charts/`."""
    shutil.copytree(CHART, folder / "charts" / "migrator")
    (folder / "templates").mkdir()
    chart = {
        "apiVersion": "v2",
        "name": "service",
        "version": "1.0.0",
        "dependencies": [{"name": "migrator", "version": "0.1.0"}],
    }
    (folder / "Chart.yaml").write_text(json.dumps(chart))
    (folder / "templates" / "own.yaml").write_text(template)
    text = with_values({"migrator": values}, chart=folder)
    return [one for one in yaml.safe_load_all(text) if one]


@pytest.mark.parametrize("name", CHART_VALUES)
def test_lint_finds_nothing(name: str, tmp_path: Path) -> None:
    """`helm lint --strict` is content with each set of values."""
    values = tmp_path / "values.json"
    values.write_text(json.dumps(CHART_VALUES[name]))

    said = output(helm(), "lint", "--strict", str(CHART), "--values", str(values))

    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert not re.search(r"\[(WARNING|ERROR)\]", said)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"imge": {}}, "at '': additional properties 'imge' not allowed"),
        (
            {"database": {"existingSecret": {"nme": "x"}}},
            "at '/database/existingSecret': additional properties 'nme' not allowed",
        ),
        (
            {"settings": {"LOCK_TIMOUT": "1s"}},
            "at '/settings': additional properties 'LOCK_TIMOUT' not allowed",
        ),
        (
            {"settings": {"LINGER": True}},
            "at '/settings': additional properties 'LINGER' not allowed",
        ),
        ({"mode": "hok"}, "at '/mode': value must be one of 'hook', 'job'"),
        ({"image": {"tag": "latest"}}, "at '/image/tag': 'not' failed"),
        ({"hook": {"timeoutSeconds": "5m"}}, "got string, want integer"),
        ({"ttlSecondsAfterFinished": 0}, "minimum: got 0, want 60"),
        ({"wait": {"timeout": "5 minutes"}}, "'5 minutes' does not match pattern"),
        ({"runAsUser": 0}, "minimum: got 0, want 1"),
    ],
)
def test_wrong_values_are_refused(values: Object, reason: str) -> None:
    """A misspelt name, a wrong type and a trap end it before anything is made."""
    said = refused(GIVEN | values)

    assert reason in said


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"image": {"tag": "1.0.0"}}, "no database: set database.existingSecret.name"),
        (GIVEN | {"image": {}}, "image.tag or image.digest is needed"),
        (
            GIVEN | {"database": {"url": "x", "existingSecret": {"name": "y"}}},
            "database.url and database.existingSecret.name exclude each other",
        ),
        (
            GIVEN | {"migrations": {"configMap": "x", "image": "y"}},
            "migrations.configMap and migrations.image exclude each other",
        ),
        (
            GIVEN
            | {"hook": {"timeoutSeconds": 120}, "terminationGracePeriodSeconds": 60},
            "hook.timeoutSeconds leaves less than a minute",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(
    values: Object, reason: str
) -> None:
    """The message says what to set."""
    said = refused(values)

    assert reason in said


def test_the_schema_knows_every_setting() -> None:
    """Each setting that has no place of its own can stand under `settings`."""
    found = schema()

    assert found == renewed(found), "run `python -m tests.unit.test_docs`"


def test_the_schema_knows_every_value() -> None:
    """No default is without a rule, and no rule but two of Helm's without a default."""

    def names(rules: Any, prefix: str = "") -> Iterator[str]:
        for name, rule in rules.get("properties", {}).items():
            inner = [] if name == "settings" else list(names(rule, f"{prefix}{name}."))
            yield from inner or [f"{prefix}{name}"]

    def defaults(values: Any, known: set[str], prefix: str = "") -> Iterator[str]:
        for name, value in values.items():
            if f"{prefix}{name}" in known or not isinstance(value, dict):
                yield f"{prefix}{name}"
            else:
                yield from defaults(value, known, f"{prefix}{name}.")

    known = set(names(schema()))
    given = yaml.safe_load((CHART / "values.yaml").read_text())

    assert set(defaults(given, known)) == known - {"global", "enabled"}


def test_a_hook_is_the_job_and_what_it_needs() -> None:
    """With a URL of its own a Secret comes one step before the Job, as a hook too."""
    secret, job = (
        one for one in objects("chart url") if one["kind"] in {"Secret", "Job"}
    )

    assert secret["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-weight": "-6",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    (volume,) = pod_spec(job)["volumes"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]


def test_a_job_has_its_revision_in_its_name() -> None:
    """Its template cannot be changed; and it is no hook, nor is its Secret."""
    secret, job, _ = objects("chart url job")

    assert kinds("chart url job") == [
        ("Secret", "shop-migrator"),
        ("Job", "shop-migrator-r1"),
        ("Pod", "shop-migrator-test"),
    ]
    assert "annotations" not in secret["metadata"]
    assert "annotations" not in job["metadata"]


def test_numbers_stay_as_they_are_written() -> None:
    """A version of fourteen digits is no float, and a switch is `true`."""
    (job,) = [one for one in objects("chart everything") if one["kind"] == "Job"]
    (container,) = pod_spec(job)["containers"]
    found = {one["name"]: one["value"] for one in container["env"]}

    assert found == {
        "MIGRATOR_DATABASE_URL_FILE": "/etc/migrator/database/uri",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "system",
        "MIGRATOR_ALLOW_MISSING": "true",
        "MIGRATOR_LOCK_TIMEOUT": "10s",
        "MIGRATOR_TARGET": "20250101120000",
        "MIGRATOR_DEADLINE": "675s",
    }


def test_a_value_makes_the_url_a_variable() -> None:
    """The Secret stays mounted for the certificate, and its URL is no file's any more."""
    (job,) = [one for one in objects("chart variable") if one["kind"] == "Job"]
    (container,) = pod_spec(job)["containers"]

    assert container["env"] == [
        {
            "name": "MIGRATOR_DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "migrator", "key": "database-url"}},
        },
        *({"name": name, "value": value} for name, value in VERIFIED.items()),
        {"name": "MIGRATOR_DEADLINE", "value": "175s"},
    ]


def test_the_test_asks_for_pending_migrations() -> None:
    """`helm test` runs a check that needs no version, and its pod stays when it failed."""
    (pod,) = [one for one in objects("chart everything") if one["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]

    assert container["args"] == ["status", "--check"]
    assert "MIGRATOR_TARGET" not in {one["name"] for one in container["env"]}
    assert pod["metadata"]["annotations"] == {
        "helm.sh/hook": "test",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }


def test_one_include_holds_pods_back() -> None:
    """The example of a service's chart has the Job, and an init container that waits."""
    (deployment,) = [
        one for one in objects(SERVICE_CHART) if one["kind"] == "Deployment"
    ]
    (waiting,) = pod_spec(deployment)["initContainers"]
    found = {one["name"]: one.get("value") for one in waiting["env"]}

    assert ("Job", "shop-migrator-r1") in kinds(SERVICE_CHART)
    assert (waiting["name"], waiting["args"]) == ("wait-for-schema", ["wait"])
    assert found == {
        "MIGRATOR_DATABASE_URL_FILE": "/etc/migrator/database/uri",
        **VERIFIED,
        "MIGRATOR_WAIT": "5m",
    }
    assert pod_spec(deployment)["volumes"] == [
        {
            "name": "wait-for-schema-database",
            "secret": {"secretName": "my-service-database", "defaultMode": 0o444},
        }
    ]


def test_one_include_makes_the_job(tmp_path: Path) -> None:
    """With `render: false` the Job is only where the service's chart wants it."""
    template = '{{ include "migrator.job" .Subcharts.migrator }}'

    found = parent(tmp_path, template, GIVEN | {"render": False})

    alone = [one for one in objects("chart") if one["kind"] == "Job"]
    assert [one for one in found if one["kind"] == "Job"] == alone


def test_a_waiting_pod_gets_its_volumes(tmp_path: Path) -> None:
    """What the container mounts, another template adds to the pod."""
    template = """\
apiVersion: v1
kind: Pod
metadata:
  name: service
spec:
  initContainers: {{- include "migrator.wait" .Subcharts.migrator | nindent 4 }}
  volumes: {{- include "migrator.waitVolumes" .Subcharts.migrator | nindent 4 }}
"""
    reader = {"wait": {"timeout": "1m", "existingSecret": {"name": "reader"}}}
    values = GIVEN | reader | {"migrations": {"configMap": "migrations"}}
    values["database"] = {"existingSecret": {"name": "owner"}}

    found = parent(tmp_path, template, values)

    (pod,) = [one for one in found if one["metadata"]["name"] == "service"]
    (waiting,) = pod["spec"]["initContainers"]
    mounted = [mount["name"] for mount in waiting["volumeMounts"]]
    assert mounted == ["wait-for-schema-database", "migrations"]
    assert pod["spec"]["volumes"] == [
        {
            "name": "wait-for-schema-database",
            "secret": {"secretName": "reader", "defaultMode": 0o444},
        },
        {"name": "migrations", "configMap": {"name": "migrations"}},
    ]


def test_the_readme_says_how_to_depend_on_it() -> None:
    """Its example names the chart's version, and its values are enough."""
    text = (K8S / "README.md").read_text()
    (snippet,) = re.findall(r"```yaml\n# Chart.yaml\n(.*?)```", text, re.DOTALL)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    example = yaml.safe_load(snippet)

    (dependency,) = example["dependencies"]
    assert (dependency["name"], dependency["version"]) == (
        chart["name"],
        chart["version"],
    )
    assert "registry.example.com/shop/migrations:1.4.2" in with_values(
        example["migrator"]
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (GIVEN, "are applied: Job shop-migrator was through before"),
        (GIVEN | {"mode": "job"}, "are being applied by Job shop-migrator-r1."),
        (
            GIVEN | {"render": False},
            'comes from the chart that includes "migrator.job"',
        ),
        (CHART_VALUES["chart url"], "`helm uninstall` leaves the Secret behind"),
    ],
    ids=["hook", "job", "include", "url"],
)
def test_the_notes_say_what_happened(values: Object, says: str) -> None:
    """And which commands tell more; no secret is among them."""
    command = (helm(), "install", "shop", str(CHART), "--dry-run=client")

    said = output(*command, "--values", "-", stdin=json.dumps(values))

    notes = said.partition("NOTES:")[2]
    assert says in notes
    assert "helm --namespace default test shop --logs" in notes
    assert "s3cr3t" not in notes


def test_the_chart_is_as_old_as_the_manifests_need() -> None:
    """The oldest Kubernetes is the one that the README names."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    minor = re.findall(r"Kubernetes (1\.\d+)", (K8S / "README.md").read_text())[0]

    assert chart["kubeVersion"] == f">={minor}.0-0"

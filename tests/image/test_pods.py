"""The containers of the shipped manifests, run under their own constraints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.image.conftest import Postgres, Write, wait_for_server
from tests.image.engine import Migrator, Run, docker, eventually
from tests.image.pod import Files, Node
from tests.image.test_image import BROKEN, GOOD, SLOW
from tests.k8s.manifests import Object, objects, pod_spec, workloads


SLEEPING = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')"

MakeNode = Callable[..., Node]


@pytest.fixture
def node(migrator: Migrator, tmp_path: Path) -> MakeNode:
    """Makes a node whose Secrets hold the URL of an empty database."""
    directory = tmp_path / "node"
    directory.mkdir()

    def make(
        volumes: dict[str, Files] | None = None, migrations: Path | None = None
    ) -> Node:
        return Node(
            migrator=migrator,
            directory=directory,
            dsn=f"{migrator.target.url}?sslmode=disable",
            volumes=volumes or {},
            migrations=migrations,
        )

    return make


def pod(manifest: str, kind: str = "Job") -> Object:
    """The pod of the manifest's workload of a kind."""
    (found,) = [one for one in workloads(manifest) if one["kind"] == kind]
    return pod_spec(found)


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ("base", "Job"),
        ("examples/init-container.yaml", "Deployment"),
        ("chart", "Job"),
    ],
)
def test_success(manifest: str, kind: str, node: MakeNode, write: Write) -> None:
    """Everything is applied and reported, within what the manifest requests."""
    ended = node(migrations=write(GOOD)).run(pod(manifest, kind))

    assert (ended.verdict, ended.run.stderr) == ((0, 0, 0), "")
    assert json.loads(ended.message)["version_after"] == 3


@pytest.mark.parametrize("manifest", ["base", "chart job"])
def test_failure(manifest: str, node: MakeNode, write: Write) -> None:
    """A permanent code, on which the Job stops, and a message that names the line."""
    ended = node(migrations=write(BROKEN)).run(pod(manifest))

    verdict: dict[str, Any] = json.loads(ended.message)
    assert ended.verdict == (13, 13, 13)
    assert (verdict["failed"]["path"], verdict["failed"]["line"]) == (
        "00004_broken.sql",
        3,
    )
    assert (verdict["retryable"], verdict["version_after"]) == (False, 3)


def test_sigterm(node: MakeNode, migrator: Migrator, write: Write) -> None:
    """The kubelet's signal cancels and rolls back, and the message says so."""
    container, message = node(migrations=write(SLOW)).start(pod("base"))
    eventually(SLEEPING, migrator.target)
    docker("kill", "--signal=TERM", container)
    code = int(docker("wait", container))

    verdict: dict[str, Any] = json.loads(message.read_text())
    run = Run(code, docker("logs", container), "")
    assert (code, verdict["exit_code"], verdict["retryable"]) == (143, 143, True)
    assert run.events[-1]["exit_code"] == 143
    assert migrator.target.versions() == []


def test_a_killed_run_leaves_no_message(
    node: MakeNode, migrator: Migrator, write: Write
) -> None:
    """Then the log's end is shown: FallbackToLogsOnError; the next run goes on."""
    made = node(migrations=write(SLOW))
    container, message = made.start(pod("base"))
    eventually(SLEEPING, migrator.target)
    docker("kill", "--signal=KILL", container)
    code = int(docker("wait", container))

    assert (code, message.read_text()) == (137, "")
    assert "migration.started" in docker("logs", container)
    assert migrator.target.versions() == []


@pytest.mark.parametrize("manifest", ["components/secret-env", "chart variable"])
def test_the_url_as_a_variable(manifest: str, node: MakeNode, write: Write) -> None:
    """Who wants no file gets it as a variable."""
    ended = node(migrations=write(GOOD)).run(pod(manifest))

    assert ended.verdict == (0, 0, 0)


def test_a_secret_that_nobody_may_read(node: MakeNode, write: Write) -> None:
    """With mode 0400 and no fsGroup: the error names the trap that the manifests avoid."""
    spec = pod("base")
    spec["volumes"][0]["secret"]["defaultMode"] = 0o400

    ended = node({"database": {"database-url": "postgresql://db/x"}}).run(spec)

    assert ended.verdict == (2, 2, 2)
    assert "Permission denied" in json.loads(ended.message)["error"]


@pytest.mark.parametrize(
    "manifest",
    ["components/image-volume", "chart configmap"],
)
def test_migrations_from_a_volume(
    manifest: str, node: MakeNode, migrator: Migrator
) -> None:
    """Links into `..data` are followed, and each file is found once."""
    ended = node({"migrations": GOOD}).run(pod(manifest))

    assert ended.verdict == (0, 0, 0)
    assert migrator.target.versions() == [1, 2, 3]


def test_the_configmap_of_the_example(node: MakeNode, migrator: Migrator) -> None:
    """What kustomize generates from the folder is what runs."""
    (generated,) = [
        one for one in objects("examples/configmap") if one["kind"] == "ConfigMap"
    ]

    ended = node({"migrations": generated["data"]}).run(pod("examples/configmap"))

    assert ended.verdict == (0, 0, 0)
    assert migrator.target.rows("select count(*) from users") == [(0,)]


def test_each_index_migrates_its_database(
    node: MakeNode, migrator: Migrator, write: Write
) -> None:
    """Index 0 reads key 0; an index without a key ends with a permanent code."""
    made = node(migrations=write(GOOD))
    spec = pod("examples/tenants")
    urls = {"database": {"0": made.dsn, "1": "postgresql://nowhere/x"}}

    ended = node(urls, made.migrations).run(spec)

    assert ended.verdict == (0, 0, 0)
    assert migrator.target.versions() == [1, 2, 3]


def test_an_index_without_a_database(node: MakeNode, write: Write) -> None:
    """More completions than keys: that index fails at once, and says what it misses."""
    made = node({"database": {"1": "postgresql://nowhere/x"}}, write(GOOD))

    ended = made.run(pod("examples/tenants"))

    assert ended.verdict == (2, 2, 2)
    assert "/etc/migrator/database/0" in json.loads(ended.message)["error"]


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ("examples/wait.yaml", "Deployment"),
        ("examples/service-chart", "Deployment"),
    ],
)
def test_waiting(
    manifest: str, kind: str, node: MakeNode, migrator: Migrator, write: Write
) -> None:
    """It ends with 0 when the schema is there, for a role that may only read."""
    made = node(migrations=write(GOOD))
    made.run(pod("base"))
    reader = f"reader_{migrator.target.rows('select oid from pg_database where datname = current_database()')[0][0]}"
    with psycopg.connect(migrator.target.dsn, autocommit=True) as conn:
        conn.execute(f"create role {reader} login password 'for-tests-only'".encode())
        conn.execute(f"grant select on goose_db_version to {reader}".encode())
        url = migrator.target.url.replace("//postgres:", f"//{reader}:")
        directory = made.directory / "waiting"
        directory.mkdir()
        waiting = Node(
            migrator=migrator,
            directory=directory,
            dsn=f"{url}?sslmode=disable",
            migrations=made.migrations,
        )

        ended = waiting.run(pod(manifest, kind))

        conn.execute(f"drop owned by {reader}".encode())
        conn.execute(f"drop role {reader}".encode())
    assert ended.verdict == (0, 0, 0)


def test_waiting_in_vain(node: MakeNode, migrator: Migrator, write: Write) -> None:
    """Its patience ends before Kubernetes would start it again and again."""
    spec = pod("examples/wait.yaml", "Deployment")
    (patience,) = [
        one
        for one in spec["initContainers"][0]["env"]
        if one["name"] == "MIGRATOR_WAIT"
    ]
    patience["value"] = "1s"

    ended = node(migrations=write(GOOD)).run(spec)

    assert ended.verdict == (3, 3, 3)
    assert migrator.target.versions() == []


def test_the_nightly_check(node: MakeNode, migrator: Migrator, write: Write) -> None:
    """Pending files end it with 3, a changed one with 12, and a whole schema with 0."""
    migrations = write(GOOD)
    made, check = node(migrations=migrations), pod("examples/check.yaml", "CronJob")
    pending = made.run(check).verdict
    made.run(pod("base"))
    whole = made.run(check).verdict
    (migrations / "00003_fill.sql").write_text("-- +goose Up\nselect 2;\n")
    changed = made.run(check).verdict

    assert (pending, whole, changed) == ((3,) * 3, (0,) * 3, (12,) * 3)
    assert migrator.target.versions() == [1, 2, 3]


def test_helm_test(node: MakeNode, write: Write) -> None:
    """The chart's test fails while something is pending."""
    made = node(migrations=write(GOOD))
    check = pod("chart", "Pod")
    before = made.run(check).verdict
    made.run(pod("chart"))
    after = made.run(check).verdict

    assert (before, after) == ((3,) * 3, (0,) * 3)


CERTIFICATES = """\
set -e
mkdir /certificates && cd /certificates
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt
for name in tls postgres; do
    openssl req -newkey rsa:2048 -nodes -subj /CN=$name -addext subjectAltName=DNS:$name -keyout $name.key -out $name.csr
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -copy_extensions copy -days 2 -out $name.crt
done
chown postgres tls.key
printf 'local all all trust\nhostssl all postgres all cert\nhostssl all app all scram-sha-256\nhostssl all clear all password\n' >hba
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_ca_file=$PWD/ca.crt \
    -c ssl_cert_file=$PWD/tls.crt -c ssl_key_file=$PWD/tls.key -c hba_file=$PWD/hba
"""


@pytest.fixture(scope="module")
def certificate(postgres: Postgres, label: str) -> Files:
    """What cert-manager puts into a Secret; the server `tls` asks for it."""
    container = docker(
        "run",
        *("--detach", f"--label={label}", f"--network={postgres.network}"),
        *("--network-alias=tls", "--tmpfs=/var/lib/postgresql/data"),
        *("--env=POSTGRES_PASSWORD=x", "--entrypoint=bash", "postgres:17"),
        *("-c", CERTIFICATES),
    )
    wait_for_server(container)
    for role in ("app", "clear"):
        create = f"create role {role} login password 'for-tests-only' superuser"
        docker("exec", container, "psql", "--username=postgres", "--command", create)
    names = {"ca.crt": "ca.crt", "tls.crt": "postgres.crt", "tls.key": "postgres.key"}
    return {
        name: docker("exec", container, "cat", f"/certificates/{file}") + "\n"
        for name, file in names.items()
    }


@pytest.mark.parametrize(
    ("role", "more", "authority", "code"),
    [
        pytest.param("app", "", True, 0, id="verified"),
        pytest.param("app", "", False, 15, id="another authority"),
        pytest.param("clear", "", True, 15, id="password in clear"),
        pytest.param("clear", "?require_auth=password", True, 0, id="as the URL says"),
    ],
)
def test_the_server_is_verified_by_default(
    role: str,
    more: str,
    authority: bool,  # noqa: FBT001 - a parameter of the test
    code: int,
    certificate: Files,
    migrator: Migrator,
    tmp_path: Path,
    write: Write,
) -> None:
    """The manifests send no password before the certificate fits; the URL wins."""
    url = f"postgresql://{role}:for-tests-only@tls/postgres{more}"
    ca = certificate["ca.crt" if authority else "tls.crt"]
    ended = Node(
        migrator=migrator,
        directory=tmp_path,
        dsn=url,
        volumes={"database": {"database-url": url, "ca.crt": ca}},
        migrations=write(GOOD),
    ).run(pod("base"))

    warned = [line for line in ended.run.events if line["event"] == "tls.unverified"]
    assert (ended.verdict, warned) == ((code,) * 3, [])


def test_the_systems_authorities_are_the_images(
    certificate: Files, migrator: Migrator, tmp_path: Path, write: Write
) -> None:
    """`sslrootcert=system` asks them: our test's one is none, until it is put there."""
    url = "postgresql://app:for-tests-only@tls/postgres?sslrootcert=system"
    node = Node(
        migrator=migrator,
        directory=tmp_path,
        dsn=url,
        volumes={"database": {"database-url": url, "ca.crt": certificate["ca.crt"]}},
        migrations=write(GOOD),
    )
    added = pod("base")
    added["containers"][0]["env"].append(
        {"name": "SSL_CERT_FILE", "value": "/etc/migrator/database/ca.crt"}
    )

    codes = [node.run(spec).run.code for spec in (pod("base"), added)]

    assert codes == [15, 0]


def test_a_password_without_tls_is_warned_about(node: MakeNode, write: Write) -> None:
    """Once, and with what to do; a network between containers is not this machine."""
    ended = node(migrations=write(GOOD)).run(pod("base"))

    warned = [line for line in ended.run.events if line["event"] == "tls.unverified"]
    assert [(line["sslmode"], line["hint"]) for line in warned] == [
        ("disable", "set sslmode=verify-full and sslrootcert in the database URL")
    ]


def test_client_certificates(
    certificate: Files, migrator: Migrator, tmp_path: Path, write: Write
) -> None:
    """The server is verified, and knows the migrator by its certificate alone."""
    ended = Node(
        migrator=migrator,
        directory=tmp_path,
        dsn="postgresql://postgres@tls/postgres",
        volumes={"certificate": certificate},
        migrations=write(GOOD),
    ).run(pod("components/client-certificate"))

    assert ended.verdict == (0, 0, 0)


def test_a_key_that_all_may_read(
    certificate: Files, migrator: Migrator, tmp_path: Path, write: Write
) -> None:
    """libpq refuses it: the trap that the component's mode avoids."""
    spec = pod("components/client-certificate")
    spec["volumes"][0]["secret"]["defaultMode"] = 0o444

    ended = Node(
        migrator=migrator,
        directory=tmp_path,
        dsn="postgresql://postgres@tls/postgres",
        volumes={"certificate": certificate},
        migrations=write(GOOD),
    ).run(spec)

    assert ended.verdict == (15, 15, 15)
    assert "has group or world access" in json.loads(ended.message)["error"]

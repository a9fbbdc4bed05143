"""The printed Kubernetes objects, at a real API server that refuses what it does not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.canary import canary
from tests.servers.kube import KubeServer, client, yaml
from vantage_secrets.bootstrap import STATE_FOLDER, open_workspace
from vantage_secrets.drivers.cronjob import CronJobSettings, Object, as_yaml, objects_of
from vantage_secrets.errors import InvalidInputError, StoreAccessDeniedError
from vantage_secrets.manifest import FILE_NAME, load
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.kubernetes.place import Place

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kube")

NAME = SecretName("vantage/api-key")
BIN = Path(sys.executable).parent

MANIFEST = """\
# Für alle Schlüssel; 'quoted', "twice" and a # hash.
environment = "test"

[store]
url = "{url}"

[secrets.VANTAGE_API_KEY]
name = "vantage/api-key"
kind = "api-key"
purpose = "Collector authentication: yes"
owner = "platform team"
max_age = "20d"
grace = "0s"
"""


def write_manifest(folder: Path, url: str) -> Path:
    path = folder / FILE_NAME
    (folder / STATE_FOLDER).mkdir()  # in the pod, the volume
    path.write_text(MANIFEST.format(url=url))
    return path


def job_in(namespace: str, **more: Any) -> CronJobSettings:
    return CronJobSettings("registry.example/vantage-secrets:1.0", namespace=namespace, **more)


def create(api: Any, each: Object, **options: Any) -> None:
    """Create it as ``kubectl create`` does; a key that the server does not know is an error."""
    of_kind = {
        "ConfigMap": client.CoreV1Api(api).create_namespaced_config_map,
        "ServiceAccount": client.CoreV1Api(api).create_namespaced_service_account,
        "PersistentVolumeClaim": client.CoreV1Api(api).create_namespaced_persistent_volume_claim,
        "Role": client.RbacAuthorizationV1Api(api).create_namespaced_role,
        "RoleBinding": client.RbacAuthorizationV1Api(api).create_namespaced_role_binding,
        "CronJob": client.BatchV1Api(api).create_namespaced_cron_job,
        "Pod": client.CoreV1Api(api).create_namespaced_pod,
    }
    of_kind[each["kind"]](each["metadata"]["namespace"], each, field_validation="Strict", **options)


def of_kind(objects: list[Object], kind: str) -> Object:
    return next(each for each in objects if each["kind"] == kind)


@pytest.mark.parametrize(
    ("store", "more"),
    [
        ("kubernetes://{namespace}/vantage", {}),
        ("vault://vault.example:8200/secret", {"pgpass_secret": "control-database"}),
        ("aws://eu-central-1/vantage", {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/rotate"}}),
    ],
)
def test_the_api_server_takes_every_object_first_in_a_dry_run_and_then_for_good(
    kube: KubeServer, tmp_path: Path, store: str, more: dict[str, Any]
) -> None:
    namespace = kube.namespace()
    manifest = load(write_manifest(tmp_path, store.format(namespace=namespace)))
    objects = [*yaml.safe_load_all(as_yaml(objects_of(manifest, job_in(namespace, **more))))]
    with kube.admin() as api:
        for options in ({"dry_run": "All"}, {}):
            for each in objects:
                create(api, each, **options)
        made = client.BatchV1Api(api).read_namespaced_cron_job("vantage-secrets", namespace).spec
        kept = client.CoreV1Api(api).read_namespaced_config_map("vantage-secrets", namespace).data[FILE_NAME]
    assert kept == manifest.path.read_text()
    assert made.concurrency_policy == "Forbid"
    pod = made.job_template.spec.template.spec
    assert pod.automount_service_account_token is not store.startswith("aws:")
    for container in [*pod.containers, *(pod.init_containers or ())]:
        assert container.security_context.read_only_root_filesystem
        assert container.security_context.capabilities.drop == ["ALL"]
        assert not container.env_from
        assert all(variable.value_from is None for variable in container.env or ()), "no secret is in a variable"


def test_the_pod_is_admitted_where_only_restricted_pods_are(kube: KubeServer, tmp_path: Path) -> None:
    namespace = kube.namespace()
    manifest = load(write_manifest(tmp_path, f"kubernetes://{namespace}/vantage"))
    cronjob = of_kind(objects_of(manifest, job_in(namespace, pgpass_secret="control-database")), "CronJob")
    spec = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": namespace}, "spec": spec}
    with kube.admin() as api:
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        client.CoreV1Api(api).patch_namespace(namespace, label)
        create(api, pod, dry_run="All")
        loose = json.loads(json.dumps(pod))
        loose["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(client.ApiException, match="restricted"):
            create(api, loose, dry_run="All")


def test_what_the_pod_runs_rotates_with_the_permissions_that_come_with_it_and_no_more(
    kube: KubeServer, tmp_path: Path
) -> None:
    namespace = kube.namespace()
    with kube.open(Place(namespace, "vantage")) as store, kube.open(Place(namespace, "other")) as other:
        other.stage(NAME, SecretValue(canary("other")), token="first")
        long_ago = datetime.now(UTC) - timedelta(days=30)
        first = store.stage(NAME, SecretValue(canary("first")), token="first", created_at=long_ago)
        store.promote(NAME, first.id, expect_current=None)

    # What the pod finds on its volume: the manifest and nothing else.
    login = tmp_path / "kubeconfig"
    path = write_manifest(tmp_path, f"kubernetes://{namespace}/vantage?kubeconfig={login}")
    objects = objects_of(load(path), job_in(namespace))
    with kube.admin() as api:
        for each in objects:
            create(api, each)
        core = client.CoreV1Api(api)
        token = core.create_namespaced_service_account_token("vantage-secrets", namespace, {"spec": {"audiences": []}})
    kube.login(login, token=token.status.token)

    container = of_kind(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    variables |= {"VANTAGE_SECRETS_MANIFEST": str(path), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(container["command"], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with open_workspace(path).store as store:
        versions = {version.stage: version for version in store.describe(NAME)}
        assert versions.keys() == {Stage.CURRENT, Stage.RETIRED}
        assert versions[Stage.RETIRED].id == first.id
    with kube.open(Place(namespace, "other"), login) as other, pytest.raises(StoreAccessDeniedError):
        other.read(NAME, stage=Stage.PENDING)


def test_the_password_file_is_copied_so_that_postgresql_takes_it(tmp_path: Path) -> None:
    manifest = load(write_manifest(tmp_path, "aws://eu-central-1/vantage"))
    pod = of_kind(objects_of(manifest, job_in("default", pgpass_secret="pg")), "CronJob")["spec"]["jobTemplate"]
    spec = pod["spec"]["template"]["spec"]
    _python, _c, program = spec["initContainers"][0]["command"]
    given, taken = tmp_path / "given", tmp_path / "taken"
    for folder in (given, taken):
        folder.mkdir()
    (given / "pgpass").write_text("*:*:*:*:not-a-secret")
    (given / "pgpass").chmod(0o640)  # as a mounted Secret is with fsGroup
    program = program.replace("/run/vantage-secrets-given", str(given)).replace("/run/vantage-secrets", str(taken))
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (taken / "pgpass").stat().st_mode & 0o777 == 0o600
    assert {"name": "PGPASSFILE", "value": "/run/vantage-secrets/pgpass"} in spec["containers"][0]["env"]


def test_the_embedded_store_is_refused_with_the_way_out(tmp_path: Path) -> None:
    manifest = load(write_manifest(tmp_path, "embedded:secrets.db"))
    with pytest.raises(InvalidInputError, match="a pod cannot reach it") as caught:
        objects_of(manifest, job_in("default"))
    assert "vantage-secrets copy" in caught.value.hint


def test_the_command_prints_yaml_and_the_same_as_json(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, "aws://eu-central-1/vantage")
    command = [str(BIN / "vantage-secrets"), "--manifest", str(path), "cronjob", "--image", "registry.example/vs:1"]
    command += ["-n", "vantage", "--schedule", "7 * * * *", "--annotation", "role=arn:aws:iam::1:role/x=y"]

    def run(*more: str) -> str:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout

    objects = json.loads(run("--json"))
    assert objects["kind"] == "List"
    assert [*yaml.safe_load_all(run())] == objects["items"]
    account = of_kind(objects["items"], "ServiceAccount")
    assert account["metadata"]["annotations"] == {"role": "arn:aws:iam::1:role/x=y"}
    assert of_kind(objects["items"], "CronJob")["spec"]["schedule"] == "7 * * * *"
    wrong = subprocess.run([*command, "--annotation", "none"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


TRAPS = [
    "yes",
    "0755",
    "1e3",
    "null",
    "~",
    "- a",
    "a: b",
    "a\nb\n",
    " a\n",
    "a\n\n",
    "# a\n",
    "*a",
    "|",
    "a #b",
    "\x85",
]
TEXTS = st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"])) | st.sampled_from(TRAPS)
SCALARS = TEXTS | st.integers() | st.booleans() | st.none()
BLOCKS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.text("abc/.-", min_size=1), BLOCKS, min_size=1), min_size=1, max_size=3))
def test_whatever_is_written_as_yaml_is_read_back_the_same(objects: list[Object]) -> None:
    assert [*yaml.safe_load_all(as_yaml(objects))] == objects

"""A real Kubernetes API server for the tests: started once, a namespace of its own for each test.

A test module asks for the fixtures with ``pytest_plugins = ["tests.servers.kube_fixtures"]``.
"""

from __future__ import annotations

import base64
import itertools
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

from vantage_secrets.stores.kubernetes import KubernetesStore, open_kubernetes
from vantage_secrets.stores.kubernetes.place import Place

# The client's own annotations refuse the plain documents that its methods take, and PyYAML comes without any.
client: Any = import_module("kubernetes.client")
config: Any = import_module("kubernetes.config")
yaml: Any = import_module("yaml")

_ROOT = Path(__file__).parents[2]


class KubeServer:
    """A kube-apiserver with its etcd, on a free loopback port; ends with this process at the latest.

    Attributes:
        folder: Its whole state.
        port: Where it listens; the same after a restart.
        kubeconfig: The cluster administrator's.

    Args:
        folder: For its state.
        flags: Further ones of its own, such as ``-encrypt``.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self._flags = folder, flags
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, again on the same port and state, and return when it answers."""
        build = subprocess.run([_ROOT / "tools" / "build-test-kube"], stdout=subprocess.PIPE, text=True)
        assert build.returncode == 0, "the API server for the tests could not be built; see above"
        log = self.folder / "kube.log"
        with log.open("a") as stderr:
            self._process = subprocess.Popen(
                [build.stdout.strip(), "-dir", str(self.folder), "-port", str(self.port), *self._flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words[:1] == ["READY"], f"the API server did not start; its last words:\n{log.read_text()[-2000:]}"
        self.port = int(words[1].rsplit(":", 1)[1])
        self.kubeconfig = Path(words[2])

    def kill(self) -> None:
        """End it as a power cut of its process does."""
        assert self._process is not None
        self._process.kill()
        self._reap()

    def stop(self) -> None:
        """End it in good order. Safe to repeat."""
        if self._process is not None:
            self._process.terminate()
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        self._process.communicate()
        self._process = None

    def admin(self) -> Any:
        """Return the vendor's own client, as the cluster's administrator; the caller closes it."""
        return config.new_client_from_config(str(self.kubeconfig))

    def authority(self) -> str:
        """Return the certificate that the server's own is signed by, PEM."""
        cluster = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        return base64.b64decode(cluster["certificate-authority-data"]).decode()

    def namespace(self) -> str:
        """Return the name of a new namespace."""
        name = f"test-{next(self._numbers)}"
        with self.admin() as api:
            client.CoreV1Api(api).create_namespace({"metadata": {"name": name}})
        return name

    def open(self, place: Place, login: Path | None = None, **options: str) -> KubernetesStore:
        """Return the store in an object, with the administrator's login or another."""
        options = {"kubeconfig": str(login or self.kubeconfig), **options}
        return open_kubernetes(place.url, environment="test", options=options)

    def login(self, path: Path, *, token: str | None = None, server: str | None = None, **cluster: Any) -> Path:
        """Write a kubeconfig like the administrator's, with another token, or another way to the server."""
        found = yaml.safe_load(self.kubeconfig.read_text())
        if token is not None:
            found["users"][0]["user"] = {"token": token}
        if server is not None:
            found["clusters"][0]["cluster"]["server"] = server
        found["clusters"][0]["cluster"].update(cluster)
        path.write_text(yaml.safe_dump(found))
        return path

    def service_account(self, namespace: str, name: str, role_yaml: str) -> str:
        """Make a service account with the Role that ``role_yaml`` says, and return a token of it."""
        with self.admin() as api:
            core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
            core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
            for role in yaml.safe_load_all(role_yaml):
                rbac.create_namespaced_role(namespace, role)
                binding = {
                    "metadata": {"name": role["metadata"]["name"]},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "Role",
                        "name": role["metadata"]["name"],
                    },
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
                }
                rbac.create_namespaced_role_binding(namespace, binding)
            made = core.create_namespaced_service_account_token(name, namespace, {"spec": {"audiences": []}})
            token: str = made.status.token
        return token

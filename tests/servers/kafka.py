"""A real Apache Kafka for tests: KRaft, SCRAM logins, ACLs, on free loopback ports; one node or several.

No pytest in here, so that the demo, the benchmarks and the crash tests can start the same server.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tests.servers.certificate import Certificate

VERSION = "4.3.1"
ADMIN = "admin"
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60

_JAVA_OPTIONS = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]

# Every request with its principal goes to the log only where a test asks; it is long.
_LOGGING = """\
appender.out.type = File
appender.out.name = out
appender.out.fileName = {log}
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{{1}}: %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
logger.request.name = kafka.request.logger
logger.request.level = {requests}
"""


def jars() -> Path:
    """Return the folder of Kafka's jars."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "vantage-secrets" / f"kafka-{VERSION}" / "libs"
    if not folder.is_dir():
        raise AssertionError(f"{folder} is missing; run 'make test', which fetches Apache Kafka {VERSION}")
    return folder


class KafkaServer:
    """A running cluster whose first node is broker and controller, the others brokers.

    Args:
        folder: Where its state, settings and logs lie; empty. Settings hold the administrator's password.
        settings: Further settings of all brokers.
        nodes: How many brokers.
        log_requests: Whether the log names each request with its principal and client id.
        authorizer: Whether ACLs are checked.
        certificate: What the brokers show; without one they speak in the clear.

    Attributes:
        username: The administrator, a super user, who is also the brokers' own login.
        password: The administrator's password, as SCRAM-SHA-512.
        certificate: As given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str],
        nodes: int,
        log_requests: bool,
        authorizer: bool,
        certificate: Certificate | None,
    ) -> None:
        """Write the settings and format the storage; nothing runs yet."""
        self.folder = folder
        self.username = ADMIN
        self.password = f"kafka-admin-{secrets.token_hex(12)}"
        self._controller, *self._ports = _free_ports(nodes + 1)
        self._settings = settings
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._log_requests = log_requests
        self._authorizer = authorizer
        self.certificate = certificate
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in range(1, nodes + 1):
            self._format(node, cluster)

    @property
    def bootstrap(self) -> str:
        """Addresses of all brokers."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def _protocol(self) -> str:
        return "SASL_PLAINTEXT" if self.certificate is None else "SASL_SSL"

    @property
    def log(self) -> str:
        """What all nodes have written so far."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("node-*.log")))

    def client(self, username: str | None = None, password: str | None = None, **more: Any) -> dict[str, Any]:
        """Return settings of a ``confluent_kafka`` client, the administrator's unless told otherwise."""
        trust = {} if self.certificate is None else {"ssl.ca.location": str(self.certificate.ca_file)}
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self._protocol,
            **trust,
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": username or self.username,
            "sasl.password": password or self.password,
            "log_level": 0,
            **more,
        }

    def admin(self) -> AdminClient:
        """Return an administrator's client."""
        return AdminClient(self.client())

    def start(self, node: int | None = None) -> None:
        """Run one node, or all, and wait until the brokers answer the administrator."""
        for which in self._nodes(node):
            self._launch(which)
        deadline = time.monotonic() + START_SECONDS_MAX
        while len(self._answering()) < len(self._processes):
            for which, process in self._processes.items():
                assert process.poll() is None, f"node {which} ended: {self._tail(which)}"
            assert time.monotonic() < deadline, f"Kafka was not ready in {START_SECONDS_MAX} s: {self._tail(1)}"
            time.sleep(0.05)

    def stop(self, node: int | None = None, *, kill: bool = False) -> None:
        """End one node, or all at once: the last of several waits for the others if they go one after another."""
        stopping = [self._processes.pop(which) for which in self._nodes(node) if which in self._processes]
        for process in stopping:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        for process in stopping:
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def restart(self, *, kill: bool = False) -> None:
        """End all nodes and run them again on the same ports and storage."""
        self.stop(kill=kill)
        self.start()

    def _nodes(self, node: int | None) -> list[int]:
        return list(range(1, len(self._ports) + 1)) if node is None else [node]

    def _answering(self) -> set[int]:
        """Return the brokers that an administrator's fresh login is told of."""
        if not any(_listens(port) for port in self._ports):
            return set()
        try:
            metadata = self.admin().list_topics(timeout=5)
        except KafkaException as exc:
            if exc.args[0].code() not in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
                raise
            return set()
        listening = {f"127.0.0.1:{port}" for port in self._ports if _listens(port)}
        return {id_ for id_, broker in metadata.brokers.items() if f"{broker.host}:{broker.port}" in listening}

    def _launch(self, node: int) -> None:
        logging = self.folder / f"node-{node}-log4j2.properties"
        log = self.folder / f"node-{node}.log"
        logging.write_text(_LOGGING.format(log=log, requests="DEBUG" if self._log_requests else "WARN"))
        with (self.folder / f"node-{node}-console.log").open("ab") as console:
            self._processes[node] = subprocess.Popen(
                [*_java(f"-Dlog4j2.configurationFile={logging}"), "kafka.Kafka", str(self._properties(node))],
                stdout=console,
                stderr=console,
                cwd=self.folder,
            )

    def _tail(self, node: int) -> str:
        paths = [self.folder / f"node-{node}{end}.log" for end in ("-console", "")]
        return "".join(path.read_text("utf-8", "replace")[-2000:] for path in paths if path.exists())

    def _properties(self, node: int) -> Path:
        return self.folder / f"node-{node}-CLEAR.properties"

    def _format(self, node: int, cluster: str) -> None:
        properties = self._properties(node)
        properties.touch(0o600)
        properties.write_text("".join(f"{key}={text}\n" for key, text in self._all_settings(node).items()))
        scram = f"SCRAM-SHA-512=[name={self.username},password={self.password}]"
        command = [*_java(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)]
        done = subprocess.run([*command, "--add-scram", scram], capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"Kafka's storage tool failed: {done.stdout[-1000:]} {done.stderr[-1000:]}"

    def _all_settings(self, node: int) -> dict[str, str]:
        place = f"{self._protocol}://127.0.0.1:{self._ports[node - 1]}"
        controls = f",CONTROLLER://127.0.0.1:{self._controller}" if node == 1 else ""
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        login = f'{module} username="{self.username}" password="{self.password}";'
        prefix = f"listener.name.{self._protocol.lower()}"
        return {
            "process.roles": "broker,controller" if node == 1 else "broker",
            "node.id": str(node),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": place + controls,
            "advertised.listeners": place,
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{self._protocol}:{self._protocol}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": self._protocol,
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            f"{prefix}.scram-sha-512.sasl.jaas.config": login,
            f"{prefix}.scram-sha-256.sasl.jaas.config": f"{module};",
            **self._authorizer_settings(),
            **self._certificate_settings(),
            "log.dirs": str(self.folder / f"node-{node}-data"),
            "num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "5",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Tests try many passwords that are refused.
            "connection.failed.authentication.delay.ms": "0",
            # The default, 128 MB, does not fit the heap.
            "log.cleaner.dedupe.buffer.size": "4194304",
            **self._settings,
        }

    def _certificate_settings(self) -> dict[str, str]:
        if self.certificate is None:
            return {}
        both = self.folder / "server-CLEAR.pem"
        both.touch(0o600)
        both.write_bytes(self.certificate.key_file.read_bytes() + self.certificate.ca_file.read_bytes())
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificate.ca_file),
        }

    def _authorizer_settings(self) -> dict[str, str]:
        if not self._authorizer:
            return {}
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # ANONYMOUS is who speaks to the controller's listener, which is in clear here.
            "super.users": f"User:{self.username};User:ANONYMOUS",
        }


@contextmanager
def running_kafka(
    folder: Path,
    *,
    reauth_ms: int | None = None,
    authorizer: bool = True,
    settings: Mapping[str, str] | None = None,
    nodes: int = 1,
    log_requests: bool = False,
    certificate: Certificate | None = None,
) -> Iterator[KafkaServer]:
    """Run Apache Kafka until the block ends.

    Args:
        folder: An empty folder for its state.
        reauth_ms: ``connections.max.reauth.ms``, or Kafka's default, never.
        authorizer: Whether ACLs are checked.
        settings: Further settings of all brokers, such as ``{"super.users": …}``.
        nodes: How many brokers.
        log_requests: Whether ``log`` names each request with its principal and client id.
        certificate: What the brokers show; without one they speak in the clear.
    """
    more = dict(settings or {})
    if reauth_ms is not None:
        more["connections.max.reauth.ms"] = str(reauth_ms)
    server = KafkaServer(
        folder,
        settings=more,
        nodes=nodes,
        log_requests=log_requests,
        authorizer=authorizer,
        certificate=certificate,
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _java(*options: str) -> list[str]:
    return ["java", *_JAVA_OPTIONS, *options, "-cp", f"{jars()}/*"]


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below those that outgoing connections take while a broker restarts."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as place:
        try:
            place.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as place:
        place.settimeout(1)
        return place.connect_ex(("127.0.0.1", port)) == 0

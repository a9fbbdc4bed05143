"""AWS Secrets Manager for tests: moto's server, corrected as :mod:`tests.servers.moto_launcher` says, on loopback."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers.cutting_proxy import CuttingProxy
from vantage_secrets.stores.aws import AwsStore, open_aws

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
PREFIX = "vantage/test"
ENVIRONMENT = "test"
URL = f"aws://{REGION}/{PREFIX}"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "ASIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_SESSION_TOKEN": "test",
}
"""A temporary login, as a role gives; moto takes any."""


class MotoServer:
    """A running moto; ``reset`` forgets every secret."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def reset(self) -> None:
        self.post("/moto-api/reset")

    def check_permissions(self, from_now_on: bool) -> None:
        """Check signatures and policies of every request, or of none."""
        self.post("/moto-api/reset-auth", b"0" if from_now_on else b"inf")

    def post(self, path: str, data: bytes = b"") -> None:
        headers = {"Content-Type": "text/plain"}  # What comes as a form is empty when moto looks at it.
        request = urllib.request.Request(self.address + path, data=data, headers=headers, method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def running_moto(folder: Path) -> Iterator[MotoServer]:
    """Start moto on a free port, wait until it answers, and stop it at the end."""
    with (folder / "moto.CLEAR.log").open("wb") as log:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.moto_launcher", str(port)], cwd=ROOT, stdout=log, stderr=log
        )
        server = MotoServer(port)
        try:
            _wait_until_ready(process, server, folder / "moto.CLEAR.log")
            yield server
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], server: MotoServer, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"moto ended: {log.read_text()}"
        try:
            server.reset()
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"moto does not answer: {log.read_text()}")


def use_login(monkeypatch: Any, address: str, login: Mapping[str, str] = CREDENTIALS) -> None:
    """Give the SDK this login and no other, from a machine without a role, and keep its STS calls here too."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**login, "AWS_ENDPOINT_URL_STS": address, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


def open_store(address: str, **options: str) -> AwsStore:
    """Open the store that the tests share, at that address."""
    url = options.pop("url", URL)
    environment = options.pop("environment", ENVIRONMENT)
    return open_aws(url, environment=environment, options={"endpoint_url": address, **options})


def open_through(proxy: CuttingProxy, **options: str) -> AwsStore:
    """Open the store through a proxy that cuts."""
    return open_store(f"http://{proxy.address}", **options)


@cache
def plain_client(address: str, service: str = "secretsmanager") -> Any:
    """Return what an application that knows nothing of us uses: the vendor's own client."""
    import boto3

    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=address,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )

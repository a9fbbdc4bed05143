"""A certificate for servers on loopback, made when a test session begins."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and localhost, with its key.

    Attributes:
        ca_file: What a client trusts: the certificate, PEM.
        key_file: The server's key, PEM.
    """

    ca_file: Path
    key_file: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Write a new one, good for a day, into ``folder``."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback for tests")])
        now = datetime.now(UTC)
        places = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = cls.load(folder)
        made.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return the one that was made in ``folder``."""
        return cls(Path(folder) / "server.pem", Path(folder) / "server.key")

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, self.key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return what a client needs, such as a proxy on its way to the server."""
        return ssl.create_default_context(cafile=str(self.ca_file))

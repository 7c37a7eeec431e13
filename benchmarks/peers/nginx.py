"""The trivial receiver, run: nginx with `nginx.conf`, over HTTP and HTTPS, and the count of what it answered."""

import datetime
import http.client
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.programs import Program, free_port, need, start


class Nginx:
    """A running nginx: its addresses, and how many pushes it has answered."""

    def __init__(
        self, program: Program, *, http_port: int, https_port: int, status_port: int, ca: Path
    ) -> None:
        self.program = program
        self.port = http_port
        self.url = f"http://127.0.0.1:{http_port}/Record"
        self.https_url = f"https://127.0.0.1:{https_port}/Record"
        self.ca = ca
        self._status = http.client.HTTPConnection("127.0.0.1", status_port, timeout=10)
        self._asked = 0

    def answered(self) -> int:
        """Pushes answered since the start, over both schemes."""
        self._status.request("GET", "/")
        text = self._status.getresponse().read().decode()
        self._asked += 1
        requests = int(text.splitlines()[2].split()[2])
        return requests - self._asked


@dataclass(frozen=True)
class _Ports:
    http: int
    https: int
    status: int


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    """Start it in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = _Ports(free_port(), free_port(), free_port())
    _certificate(folder)
    text = Path(__file__).with_name("nginx.conf").read_text(encoding="utf-8")
    for mark, value in {
        "@FOLDER@": folder,
        "@HTTP@": ports.http,
        "@HTTPS@": ports.https,
        "@STATUS@": ports.status,
    }.items():
        text = text.replace(mark, str(value))
    conf = folder / "nginx.conf"
    conf.write_text(text, encoding="utf-8")
    with start(
        "nginx", [need("nginx"), "-c", conf, "-p", folder], folder=folder, port=ports.status
    ) as program:
        yield Nginx(
            program,
            http_port=ports.http,
            https_port=ports.https,
            status_port=ports.status,
            ca=folder / "server.pem",
        )


def _certificate(folder: Path) -> None:
    """A self-signed certificate for 127.0.0.1, valid for a day, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatepost benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

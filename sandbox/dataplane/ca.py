"""The sandbox's own certificate authority: what ACM would have issued, and the bundle that trusts it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=397)
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """PEM text, in the three parts that ACM's ImportCertificate wants."""

    body: str
    chain: str
    private_key: str


def system_roots() -> str:
    """The machine's own trust bundle as PEM text, empty where there is none."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found).read_text("utf-8") if found else ""


class CertificateAuthority:
    """A root that lives as long as its process: its private key is never written anywhere."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Hokusai sandbox CA")
        self._certificate = self._root()

    @property
    def pem(self) -> str:
        return _pem(self._certificate)

    def issue(self, *names: str, lifetime: timedelta = LIFETIME) -> Issued:
        """A server certificate for `names`, the first of which is also its common name; `*.` is one label.

        A negative `lifetime` makes one that has already expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        now = datetime.now(UTC)
        certificate = (
            self._builder(_name(names[0]), key.public_key(), min(now, now + lifetime) - BACKDATED, now + lifetime)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(_pem(certificate), self.pem, _private_pem(key))

    def write_bundle(self, path: Path) -> Path:
        """Write this root and the system's, so that clients given `path` still trust everything else."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.pem + system_roots(), "utf-8")
        return path

    def _root(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        now = datetime.now(UTC)
        return (
            self._builder(self._name, self._key.public_key(), now - BACKDATED, now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

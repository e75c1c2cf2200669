"""TLS contexts of a listener, chosen by SNI among its ACM certificates and replaced while it listens."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

from sandbox.model import Certificate


class CertificateChooser:
    """The listener's certificates, the first being the default one (user guide, "SSL certificates")."""

    def __init__(self, certificates: tuple[Certificate, ...]) -> None:
        self.certificates = certificates
        # A listener's own, never a shared one: it carries the callback that knows this listener's certificates.
        self.context = _new_context(certificates[0])
        self.context.sni_callback = self._chosen

    def choose(self, server_name: str | None) -> Certificate:
        """The most specific certificate for the name, else the default."""
        name = (server_name or "").lower()
        wildcard = "*." + name.partition(".")[2]
        for wanted in (name, wildcard):
            for certificate in self.certificates:
                if wanted in (known.lower() for known in certificate.names):
                    return certificate
        return self.certificates[0]

    def _chosen(self, connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext) -> None:
        connection.context = _context(self.choose(server_name))


@lru_cache(maxsize=64)
def _context(certificate: Certificate) -> ssl.SSLContext:
    """For connections to change over to: without a callback, and so the same for every listener."""
    return _new_context(certificate)


def _new_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL reads keys from files only; this one is memory of this process and never on a disk.
    with os.fdopen(os.memfd_create("certificate"), "w", encoding="utf-8") as file:
        file.write(f"{certificate.private_key}\n{certificate.body}\n{certificate.chain}\n")
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context

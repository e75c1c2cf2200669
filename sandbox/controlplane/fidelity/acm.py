"""Certificates listed as ACM lists them: those with other keys than the common ones only when asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.acm import models

from sandbox.controlplane.fidelity.replace import Replacement, use_backend

LISTED_UNASKED = ["RSA_1024", "RSA_2048"]


class AWSCertificateManagerBackend(Replacement, models.AWSCertificateManagerBackend):  # type: ignore[misc]  # moto is untyped here
    """Source of the rule: ACM API reference, ListCertificates, Filters: keyTypes."""

    moto_package = "moto.acm"

    def list_certificates(self, statuses: list[str], includes: dict[str, Any] | None) -> Iterable[Any]:
        yield from super().list_certificates(statuses, {"keyTypes": LISTED_UNASKED, **(includes or {})})


def install() -> None:
    """Replace moto's acm."""
    use_backend(models.acm_backends, AWSCertificateManagerBackend)

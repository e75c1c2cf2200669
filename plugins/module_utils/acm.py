# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates by reference: a domain name (main or alternative), or an ARN where a name is not enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import Ambiguous, BadInput, NotFound, calling

KEY_TYPES = (
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
)
"""All of them: ListCertificates hides all but RSA with 1024 and 2048 bits unless asked (ACM API reference: Filters)."""


@dataclass(frozen=True)
class Certificates:
    """The certificates of an account and region, as ListCertificates shows them."""

    listed: tuple[Mapping[str, Any], ...]
    region: str

    def arn(self, reference: str) -> str:
        """The one issued certificate that a name or an ARN means. Raises `NotFound`, `Ambiguous` or `BadInput`."""
        if reference.startswith("arn:") and not is_acms(reference):
            raise BadInput(
                f"Certificate {reference} is none of ACM's, so nobody could tell when it ends",
                "import it into ACM, and give the ARN or the domain name that it has there",
            )
        found = [each for each in self.listed if reference in (each["CertificateArn"], each.get("DomainName"))]
        found = found or [c for c in self.listed if reference in (c.get("SubjectAlternativeNameSummaries") or ())]
        issued = [each for each in found if each["Status"] == "ISSUED"]
        if not found:
            raise NotFound(
                f"No certificate {reference} in ACM in {self.region}", "request or import it first, or correct its name"
            )
        if not issued:
            states = ", ".join(sorted({str(each["Status"]) for each in found}))
            remedies = sorted({remedy(each) for each in found})
            raise BadInput(
                f"Certificate {reference} is {states}, not ISSUED", ", ".join([*remedies, "or name another"])
            )
        if len(issued) > 1:
            arns = ", ".join(sorted(each["CertificateArn"] for each in issued))
            raise Ambiguous(f"{len(issued)} issued certificates are named {reference}: {arns}", "give the ARN of one")
        return str(issued[0]["CertificateArn"])

    def name(self, arn: str, references: Mapping[str, str]) -> str:
        """What to call a live certificate: the reference that means it, else its domain name if that is not taken."""
        for reference, meant in references.items():
            if meant == arn:
                return reference
        domains = (each.get("DomainName") for each in self.listed if each["CertificateArn"] == arn)
        domain = str(next(domains, None) or arn)
        return arn if domain in references else domain


def is_acms(arn: str) -> bool:
    """False of an IAM server certificate, which a listener can have too."""
    return arn.split(":")[2:3] == ["acm"]


def remedy(listed: Mapping[str, Any]) -> str:
    """What can be done about a certificate that is not issued. Only validation that is pending can still end well."""
    if listed.get("Type") == "IMPORTED":
        return "import it again"
    return "finish its validation" if listed["Status"] == "PENDING_VALIDATION" else "request a new one"


def certificates(aws: Aws) -> Certificates:
    with calling("list the certificates in ACM"):
        pages = aws.acm.get_paginator("list_certificates").paginate(Includes={"keyTypes": list(KEY_TYPES)})
        listed: Iterable[Mapping[str, Any]] = [each for page in pages for each in page["CertificateSummaryList"]]
    return Certificates(tuple(listed), aws.region)

# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a public host leads to its load balancer, and how long a certificate for it lasts there: pure judgements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.public_dns import Balancer, Record


@dataclass(frozen=True)
class Certificate:
    """One of a listener's. `renewal` is ACM's state of a renewal, "" before there is one.

    ACM renews by itself what it issued and what is in use; an imported certificate has to be imported again
    (ACM user guide, "Managed certificate renewal").
    """

    arn: str
    names: tuple[str, ...]
    status: str
    expires: datetime
    renews: bool
    renewal: str = ""

    @classmethod
    def from_aws(cls, live: Mapping[str, Any]) -> Certificate | None:
        """Of DescribeCertificate's answer; None for one that was never issued."""
        if "NotAfter" not in live:
            return None
        return cls(
            arn=live["CertificateArn"],
            names=tuple(live.get("SubjectAlternativeNames") or (live["DomainName"],)),
            status=live["Status"],
            expires=live["NotAfter"],
            renews=live.get("RenewalEligibility") == "ELIGIBLE" and live.get("Type") != "IMPORTED",
            renewal=(live.get("RenewalSummary") or {}).get("RenewalStatus", ""),
        )

    def covers(self, host: str) -> bool:
        return any(covers(name.lower(), host.lower()) for name in self.names)

    def days_left(self, now: datetime) -> int:
        """Whole days; negative once it is over."""
        return (self.expires - now).days


def covers(name: str, host: str) -> bool:
    """A wildcard stands for one label, the first (RFC 6125, 6.4.3)."""
    first, _dot, rest = host.partition(".")
    return name in (host, f"*.{rest}") and bool(first)


@dataclass(frozen=True)
class Endpoint:
    """A host, its load balancer, and what was found of both. `addresses` are those that host and load balancer resolve
    to here, for a host whose records no one zone of the account tells; None when Route 53 was asked."""

    host: str
    balancer: Balancer
    port: int
    records: tuple[Record, ...] = ()
    addresses: tuple[frozenset[str], frozenset[str]] | None = None
    certificates: tuple[Certificate, ...] = ()
    listens: bool = True

    @property
    def leads_to_balancer(self) -> bool:
        if self.addresses is not None:
            mine, balancers = self.addresses
            return bool(mine) and mine <= balancers
        asked = [record for record in self.records if not record.standby]
        return bool(asked) and all(record.leads_to(self.balancer) for record in asked)

    @property
    def target(self) -> str:
        """What the host leads to, in words."""
        if self.addresses is not None:
            return ", ".join(sorted(self.addresses[0])) or "nothing"
        return "; ".join(map(str, self.records)) or "nothing"

    @property
    def certificate(self) -> Certificate | None:
        """Of those that cover the host the one that lasts longest: SNI chooses among good ones."""
        good = [each for each in self.certificates if each.covers(self.host) and each.status == "ISSUED"]
        return max(good, key=lambda each: each.expires, default=None)

    def problems(self, now: datetime) -> Iterator[str]:
        """What keeps clients out."""
        if not self.leads_to_balancer:
            yield f"{self.host} leads to {self.target}, not to {self.balancer.name} ({self.balancer.dns_name})"
        where = f"{self.balancer.name}:{self.port}"
        if not self.listens:
            yield f"{where} does not listen for HTTPS, so {self.host} is not served"
        elif self.certificate is None:
            there = "; ".join(f"{', '.join(each.names)} ({each.status})" for each in self.certificates) or "none"
            yield f"no certificate of {where} covers {self.host}: {there}"
        elif self.certificate.days_left(now) < 0:
            yield f"the certificate of {self.host} on {where} is over since {self.certificate.expires:%Y-%m-%d}"

    def concerns(self, now: datetime, least_days: int) -> Iterator[str]:
        """What will keep clients out unless somebody does something."""
        certificate = self.certificate
        left = certificate.days_left(now) if certificate else -1
        if certificate is None or left < 0:
            return
        if certificate.renewal in {"FAILED", "PENDING_VALIDATION"}:
            yield f"the renewal of the certificate of {self.host} is {certificate.renewal}, with {left} days left"
        elif left < least_days:
            how = "ACM should have renewed it by now" if certificate.renews else "it does not renew by itself"
            yield f"the certificate of {self.host} has {left} days left, and {how}"

    def lasting(self, now: datetime) -> Iterator[str]:
        """How long its certificate lasts; nothing of one that is missing or over, which is a problem."""
        certificate = self.certificate
        if certificate and (left := certificate.days_left(now)) >= 0:
            how = "renews" if certificate.renews else "does not renew by itself"
            yield f"{self.host}: certificate {left} days left, {how}"

    def shown(self, now: datetime, least_days: int) -> dict[str, Any]:
        certificate = self.certificate
        return {
            "host": self.host,
            "load_balancer": self.balancer.name,
            "leads_to": self.target,
            "leads_to_load_balancer": self.leads_to_balancer,
            "certificate": certificate
            and {
                "arn": certificate.arn,
                "names": list(certificate.names),
                "expires": certificate.expires.isoformat(),
                "days_left": certificate.days_left(now),
                "renews": certificate.renews,
            },
            "problems": list(self.problems(now)),
            "concerns": list(self.concerns(now, least_days)),
        }


def judged(endpoints: Iterable[Endpoint], now: datetime, least_days: int) -> dict[str, Any]:
    """The result: each endpoint, and the certificates, problems and concerns of all."""
    seen = list(endpoints)
    shown = [endpoint.shown(now, least_days) for endpoint in seen]
    return {
        "endpoints": shown,
        "certificates": [text for each in seen for text in each.lasting(now)],
        "problems": [text for each in shown for text in each["problems"]],
        "concerns": [text for each in shown for text in each["concerns"]],
    }

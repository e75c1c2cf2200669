# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a public host leads to its load balancer, and how long its certificates last there: pure judgements.

Of several certificates that cover a host a load balancer hands out one with an ECDSA key before one with RSA, and only
among those one that is not over before one that is (ELB user guide, "SSL certificates for your Application Load
Balancer"). Which one that is depends on the client, so all of them are judged.
"""

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
    ecdsa: bool = False

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
            ecdsa=live.get("KeyAlgorithm", "").startswith("EC"),
        )

    def __str__(self) -> str:
        return f"{self.names[0]} ({self.arn.rpartition('/')[2]})"

    def covers(self, host: str) -> bool:
        return any(covers(name.lower(), host.lower()) for name in self.names)

    def days_left(self, now: datetime) -> int:
        """Whole days; negative once it is over."""
        return (self.expires - now).days

    def is_over(self, now: datetime) -> bool:
        return self.expires <= now

    def fault(self, now: datetime) -> str:
        """Why no client takes it; "" of a good one."""
        if self.is_over(now):
            return f"is over since {self.expires:%Y-%m-%d}"
        return "" if self.status == "ISSUED" else f"is {self.status}"

    def threat(self, now: datetime, least_days: int) -> str:
        """Why clients will not take a good one for long, unless somebody does something; "" if they will."""
        left = self.days_left(now)
        if self.renewal in {"FAILED", "PENDING_VALIDATION"}:
            return f"has {left} days left, and its renewal is {self.renewal}"
        if left < least_days:
            how = "ACM should have renewed it by now" if self.renews else "it does not renew by itself"
            return f"has {left} days left, and {how}"
        return ""


def covers(name: str, host: str) -> bool:
    """A wildcard stands for one label, the first (RFC 6125, 6.4.3)."""
    first, _dot, rest = host.partition(".")
    return name in (host, f"*.{rest}") and bool(first)


LISTEN = "list the listener with protocol HTTPS in hokusai_load_balancers, and run alb_routing"
CERTIFY = (
    "import or request one in ACM, name it in the listener's certificates in hokusai_load_balancers in place of what "
    "is not good, and run alb_routing"
)


def iam(name: str) -> str:
    return f"IAM server certificate {name}, of which neither hosts nor end are looked at"


@dataclass(frozen=True)
class Endpoint:
    """A host, its load balancer, and what was found of both. `addresses` are those that host and load balancer resolve
    to here, for a host whose records no one zone of the account tells; None when Route 53 was asked. `unread` are the
    names of the listener's certificates that are IAM's, of which neither hosts nor end are known."""

    host: str
    balancer: Balancer
    port: int
    records: tuple[Record, ...] = ()
    addresses: tuple[frozenset[str], frozenset[str]] | None = None
    certificates: tuple[Certificate, ...] = ()
    unread: tuple[str, ...] = ()
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
    def where(self) -> str:
        return f"{self.balancer.name}:{self.port}"

    @property
    def covering(self) -> list[Certificate]:
        return [each for each in self.certificates if each.covers(self.host)]

    def handed(self, now: datetime) -> list[Certificate]:
        """Of those that cover the host those that a client which takes ECDSA may get, good or not."""
        preferred = [each for each in self.covering if each.ecdsa] or self.covering
        return [each for each in preferred if not each.is_over(now)] or preferred

    def certificate(self, now: datetime) -> Certificate | None:
        """Of the good ones that cover the host the one that ends first."""
        good = [each for each in self.covering if not each.fault(now)]
        return min(good, key=lambda each: each.expires, default=None)

    def problems(self, now: datetime) -> Iterator[str]:
        """What keeps clients out, and what is to be done."""
        if not self.leads_to_balancer:
            aside = f"not to {self.balancer.name} ({self.balancer.dns_name})"
            yield f"{self.host} leads to {self.target}, {aside}. Remedy: {self.way_back}"
        if not self.listens:
            yield f"{self.where} does not listen for HTTPS, so {self.host} is not served. Remedy: {LISTEN}"
        elif not self.covering:
            there = [f"{each} ({each.status})" for each in self.certificates] + [iam(name) for name in self.unread]
            held = "; ".join(there) or "none"
            yield f"no certificate of {self.where} is known to cover {self.host}: {held}. Remedy: {CERTIFY}"
        else:
            for each in self.handed(now):
                if fault := each.fault(now):
                    handing = f"{self.where} hands clients of {self.host} the certificate {each}"
                    yield f"{handing}, which {fault}. Remedy: {CERTIFY}"

    @property
    def way_back(self) -> str:
        """How the host is made to lead to its load balancer."""
        if self.addresses is not None:
            return (
                "let it lead there where its DNS is kept; of two hosted zones of one name name one in alb_routing_zone"
            )
        if any(record.routed for record in self.records):
            return "change its records by hand, for they have a routing policy, which alb_routing leaves alone"
        if not self.records:
            return "run alb_routing with alb_routing_dns: true"
        return "run alb_routing with alb_routing_dns: true and alb_routing_dns_replace: true, or correct the inventory"

    def concerns(self, now: datetime, least_days: int) -> Iterator[str]:
        """What will keep clients out unless somebody does something, and what may keep some out."""
        handed = self.handed(now)
        for each in self.covering:
            if fault := each.fault(now):
                if each not in handed:
                    told = f"{each} of {self.where}, which covers {self.host} beside others, {fault}"
                    yield f"{told}: take it out of the listener's certificates, or replace it"
            elif threat := each.threat(now, least_days):
                yield f"the certificate {each} of {self.host} on {self.where} {threat}"
        if self.covering:
            yield from (f"{self.where} has an {iam(name)}, and may hand it to clients" for name in self.unread)

    def lasting(self, now: datetime) -> Iterator[str]:
        """How long its certificate lasts; nothing where none is good, which is a problem."""
        if certificate := self.certificate(now):
            how = "renews" if certificate.renews else "does not renew by itself"
            yield f"{self.host}: certificate {certificate.days_left(now)} days left, {how}"

    def shown(self, now: datetime, least_days: int) -> dict[str, Any]:
        certificate = self.certificate(now)
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

"""The drawing of the path, made of the names, ports and rules of the inventory: `python -m tests.docsite.drawing`.

It writes `docs/path.svg`; a test compares that file with what the inventory says now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "development" / "group_vars" / "hokusai_platforms"
DRAWING = ROOT / "docs" / "path.svg"

WIDTH, HEIGHT = 860, 640
BOX_WIDTH, BOX_HEIGHT = 380, 64
LEFT, RIGHT = 30, 450
STYLE = """\
text { font: 14px sans-serif; fill: #222 } .name { font-weight: bold } .role { fill: #06599e } .note { fill: #555 }
rect { fill: #fff; stroke: #555; stroke-width: 1.5 } .group { fill: #f3f6f9; stroke-dasharray: 5 4 }
line { stroke: #222; stroke-width: 1.5; marker-end: url(#head) }
"""
HEAD = (
    '<marker id="head" markerWidth="10" markerHeight="8" refX="9" refY="4" orient="auto">'
    '<path d="M0,0 L10,4 L0,8 z" fill="#222"/></marker>'
)


@dataclass(frozen=True)
class Box:
    """A thing on the path: its name, what is said of it, and the role that settles it."""

    x: int
    y: int
    name: str
    note: str
    role: str = ""


def read() -> dict[str, Any]:
    told: dict[str, Any] = {}
    for file in sorted(INVENTORY.glob("*.yml")):
        told |= yaml.safe_load(file.read_text())
    return told


def port(told: dict[str, Any], service: str) -> int:
    found: int = told["hokusai_services"][service]["load_balancers"][0]["container_port"]
    return found


def address(told: dict[str, Any], service: str) -> str:
    """The private name and port under which the others call a service."""
    name = next(each["name"] for each in told["hokusai_discovery"] if each["service"] == service)
    return f"{name}.{told['hokusai_namespace']}:{port(told, service)}"


def group_rule(told: dict[str, Any], service: str) -> str:
    """The rule of a service's security group that lets the API in."""
    groups = {each["group"]: each["rules"] for each in told["hokusai_security_groups"]}
    rules = groups[told["hokusai_services"][service]["name"]]
    caller = told["hokusai_services"]["api"]["name"]
    rule = next(each for each in rules if each.get("group") == caller)
    return f"{rule['name']} (tcp {rule['port']})"


def route(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The registry's load balancer, and its rule for the tracking URI."""
    for balancer in told["hokusai_load_balancers"]:
        for listener in balancer["listeners"]:
            for rule in listener.get("rules", ()):
                if rule["hosts"] == [told["hokusai_hosts"]["registry"]] and "/api/mlflow/*" in rule["paths"]:
                    return balancer["name"], rule
    raise LookupError("the inventory has no rule for the tracking URI")


def boxes(told: dict[str, Any]) -> list[Box]:
    balancer, rule = route(told)
    api = told["hokusai_services"]["api"]
    group = rule["action"]["target_group"]
    check = next(each["health_check"] for each in told["hokusai_target_groups"] if each["name"] == group)
    return [
        Box(LEFT, 20, "Client: MLflow SDK, curl, browser", f"https://{told['hokusai_hosts']['registry']}/api/mlflow"),
        Box(LEFT, 130, f"Load balancer {balancer}", "listener 443, TLS", "alb_routing"),
        Box(LEFT, 240, f"Rule {rule['priority']}: {', '.join(rule['paths'])}", f"to {group}", "alb_routing"),
        Box(LEFT, 350, f"{api['name']} :{port(told, 'api')}", f"the gateway; {check['path']} is probed", "auth_config"),
        Box(RIGHT, 350, address(told, "auth"), "is this key valid?", "service_discovery"),
        Box(LEFT, 460, address(told, "mlflow"), "private DNS name", "service_discovery"),
        Box(LEFT, 570, f"{told['hokusai_services']['mlflow']['name']}", "MLflow: database, artifacts", "auth_config"),
        Box(
            RIGHT, 460, f"Security group rule {group_rule(told, 'mlflow')}", "or packets are dropped", "security_groups"
        ),
        Box(RIGHT, 240, f"Security group rule {group_rule(told, 'auth')}", "or packets are dropped", "security_groups"),
    ]


def draw_box(box: Box) -> Iterator[str]:
    kind = ' class="group"' if box.role == "security_groups" else ""
    yield f'<rect{kind} x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
    yield f'<text class="name" x="{box.x + 12}" y="{box.y + 26}">{escape(box.name)}</text>'
    yield f'<text class="note" x="{box.x + 12}" y="{box.y + 48}">{escape(box.note)}</text>'
    right = box.x + BOX_WIDTH - 12
    yield f'<text class="role" text-anchor="end" x="{right}" y="{box.y + 48}">{escape(box.role)}</text>'


def arrows() -> Iterator[str]:
    """Down the left side, and from the API to the auth service."""
    middle = LEFT + BOX_WIDTH // 2
    for y in (20, 130, 240, 350, 460):
        yield f'<line x1="{middle}" y1="{y + BOX_HEIGHT}" x2="{middle}" y2="{y + 110}"/>'
    beside = 350 + BOX_HEIGHT // 2
    yield f'<line x1="{LEFT + BOX_WIDTH}" y1="{beside}" x2="{RIGHT}" y2="{beside}"/>'


def svg(told: dict[str, Any]) -> str:
    body = [*arrows(), *(line for box in boxes(told) for line in draw_box(box))]
    title = "The path of a request from a client to MLflow, and the role that settles each hop"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f"<defs>{HEAD}</defs>",
            *body,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    DRAWING.write_text(svg(read()))
    sys.stdout.write(f"{DRAWING.relative_to(ROOT)}\n")

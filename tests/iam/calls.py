"""The IAM actions of the operations that the collection's code names.

Named is what is called, and what a word says: of a paginator, a waiter, a step of a plan, or a helper that is told what
to call. A word may have a part that is known only later, as in `f"revoke_security_group_{direction}"`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

from sandbox.controlplane.authorization.actions import action_of
from tests.harness import ROOT

TABLES = {"journal_writes.py", "routing_proof.py"}
"""What is known of the writes of others; they make none."""


def named() -> set[frozenset[str]]:
    """Of each operation its action; several where services share its name, and none of them stands beside it."""
    found = [path for path in (ROOT / "plugins").rglob("*.py") if path.name not in TABLES]
    return named_in([node for path in found for node in ast.walk(ast.parse(path.read_text()))])


def named_in(nodes: Iterable[ast.AST]) -> set[frozenset[str]]:
    nodes = list(nodes)
    known = {service: actions(service) for service in services(nodes)}
    nodes += [ast.Constant(each) for node in nodes for each in spelled(node, known)]
    beside: dict[int, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Call):
            words = {word(each) for each in ast.walk(node)} & known.keys()
            beside |= {id(each): words for each in (node.func, *node.args)}
    found = set()
    for node in nodes:
        having = {service for service in known if word(node) in known[service]}
        if having:
            told = having & beside.get(id(node), set()) or having
            found.add(frozenset(known[service][word(node)] for service in told))
    return found


def spelled(node: ast.AST, known: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The methods that a text can come to be whose first word they have."""
    if isinstance(node, ast.JoinedStr) and "_" in word(node.values[0]):
        pattern = "".join(re.escape(word(each)) or "[a-z_]+" for each in node.values)
        yield from {method for methods in known.values() for method in methods if re.fullmatch(pattern, method)}


def word(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def services(nodes: Iterable[ast.AST]) -> set[str]:
    """As in `aws.ecs`, `self.aws.ecs` and `aws.client("ecs")`."""
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    clients = [node for node in nodes if isinstance(node, ast.Call) and word(node.func) == "client"]
    found = {node.attr for node in attributes if name(node.value) in {"aws", "_aws"}}
    found |= {word(argument) for node in clients for argument in node.args}
    return found & set(botocore.session.get_session().get_available_services())


def name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else word(node)


def actions(service: str) -> Mapping[str, str]:
    """By the names of botocore's methods and waiters."""
    session = botocore.session.get_session()
    operations = {xform_name(each): each for each in session.get_service_model(service).operation_names}
    try:
        model = session.get_waiter_model(service)
    except UnknownServiceError:
        waits: dict[str, str] = {}
    else:
        waits = {xform_name(each): model.get_waiter(each).operation for each in model.waiter_names}
    return {each: action_of(service, operation) for each, operation in {**operations, **waits}.items()}

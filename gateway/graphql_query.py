"""What a GraphQL request may ask: queries of a bounded size, as MLflow's UI sends them.

Parsed by graphql-core, which is what MLflow parses it with: no second opinion about what a query means. MLflow's schema
has a mutation root too, whose fields of the server (3.4 to 3.17) are two searches and an echo; the searches are reads
and allowed by name, and whatever a later schema adds is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql.error import GraphQLSyntaxError
from graphql.language import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    VariableDefinitionNode,
    VariableNode,
    parse,
)
from graphql.language.ast import Node

from gateway.errors import BadRequestError
from gateway.paths import check_name

MAX_DEPTH = 12
MAX_FIELDS = 1000
MAX_ALIASES = 50
MAX_TOKENS = 1200
"""The UI's longest query has about 200; parsing 1,200 takes some 15 ms in which nothing else is served."""

READING_MUTATIONS = frozenset({"mlflowSearchRuns", "mlflowSearchDatasets"})


def check_query(body: dict[str, Any]) -> None:
    """``body`` is ``{"query", "variables", "operationName"}``. Raises BadRequestError."""
    query = body.get("query")
    if not isinstance(query, str):
        raise BadRequestError("The GraphQL request has no query.")
    document = _parse(query)
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(fragments) + len(operations) != len(document.definitions) or not operations:
        raise BadRequestError("The GraphQL document holds more than operations and fragments, or no operation.")
    measure = _Measure(fragments)
    for operation in operations:
        _check_operation(operation, measure)
    _check_paths(document, body.get("variables"))


def _parse(query: str) -> DocumentNode:
    try:
        return parse(query, no_location=True, max_tokens=MAX_TOKENS)
    except GraphQLSyntaxError:  # its message repeats what the client wrote, and this one is logged
        raise BadRequestError(f"The GraphQL query cannot be parsed, or has over {MAX_TOKENS} tokens.") from None
    except RecursionError:
        raise BadRequestError("The GraphQL query is nested too deep.") from None


class _Measure:
    """Depth, fields and aliases of a selection with its fragments put in; each fragment is measured once."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int, int]] = {}
        self._open: set[str] = set()

    def of(self, selection: SelectionSetNode | None) -> tuple[int, int, int]:
        depth = fields = aliases = 0
        for node in selection.selections if selection else ():
            if isinstance(node, FieldNode):
                below = self.of(node.selection_set)
                inner = (below[0] + 1, below[1] + 1, below[2] + (node.alias is not None))
            elif isinstance(node, FragmentSpreadNode):
                inner = self._fragment(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                inner = self.of(node.selection_set)
            else:
                raise BadRequestError("The GraphQL query holds a selection of an unknown kind.")
            depth, fields, aliases = max(depth, inner[0]), fields + inner[1], aliases + inner[2]
        return depth, fields, aliases

    def _fragment(self, name: str) -> tuple[int, int, int]:
        if name in self._known:
            return self._known[name]
        if name in self._open or name not in self._fragments:
            raise BadRequestError("A fragment of the GraphQL query contains itself, or is missing.")
        self._open.add(name)
        self._known[name] = self.of(self._fragments[name].selection_set)
        self._open.discard(name)
        return self._known[name]

    def root_fields(self, selection: SelectionSetNode) -> Iterator[str]:
        """Called for a selection that has been measured: its fragments exist and end."""
        for node in selection.selections:
            if isinstance(node, FieldNode):
                yield node.name.value
            elif isinstance(node, FragmentSpreadNode):
                yield from self.root_fields(self._fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                yield from self.root_fields(node.selection_set)


def _check_operation(operation: OperationDefinitionNode, measure: _Measure) -> None:
    depth, fields, aliases = measure.of(operation.selection_set)
    if depth > MAX_DEPTH or fields > MAX_FIELDS or aliases > MAX_ALIASES:
        raise BadRequestError(
            f"The GraphQL query has {depth} levels, {fields} fields and {aliases} aliases; "
            f"at most {MAX_DEPTH}, {MAX_FIELDS} and {MAX_ALIASES} are allowed."
        )
    if operation.operation is OperationType.QUERY:
        return
    reads = operation.operation is OperationType.MUTATION
    if not reads or not READING_MUTATIONS.issuperset(measure.root_fields(operation.selection_set)):
        raise BadRequestError("Only GraphQL queries are allowed here: no mutations, no subscriptions.")


def _check_paths(document: DocumentNode, variables: object) -> None:
    """The paths written into the query, and into the variables that stand where a path does.

    Those in objects among the variables have been judged with the rest of the JSON.
    """
    nodes = list(_nodes(document))
    places = [node.value for node in nodes if isinstance(node, (ObjectFieldNode, ArgumentNode)) and _is_path(node)]
    names = {place.name.value for place in places if isinstance(place, VariableNode)}
    variable_definitions = [node for node in nodes if isinstance(node, VariableDefinitionNode)]
    places += [
        one.default_value for one in variable_definitions if one.default_value and one.variable.name.value in names
    ]
    given = variables if isinstance(variables, dict) else {}
    texts = [place.value for place in places if isinstance(place, StringValueNode)]
    for text in [*texts, *(given[name] for name in names & given.keys())]:
        if isinstance(text, str):
            check_name(text.encode("utf-8", "surrogatepass"), "the GraphQL query")


def _is_path(node: ObjectFieldNode | ArgumentNode) -> bool:
    return node.name.value.lower() == "path"


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        for key in node.keys:
            value = getattr(node, key, None)
            waiting.extend(
                part for part in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(part, Node)
            )

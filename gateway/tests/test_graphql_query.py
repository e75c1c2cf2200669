"""GraphQL is a read: what MLflow's UI asks passes, and what is large or writes does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow.server.graphql.graphql_schema_extensions import schema

from gateway.errors import BadRequestError
from gateway.graphql_query import MAX_ALIASES, MAX_DEPTH, MAX_FIELDS, READING_MUTATIONS, check_query
from gateway.tests.conftest import Keys
from gateway.tests.process import GatewayProcess
from gateway.tests.upstream import RecordingUpstream

SEARCH_RUNS = """
query SearchRuns($data: MlflowSearchRunsInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowSearchRuns(input: $data) {
    apiError { code message }
    runs { ...RunFields experiment { name tags { key value } } modelVersions { name source } }
  }
}
fragment RunFields on MlflowRunExtension { info { runId runName } data { metrics { key value } } }
"""


def nested(depth: int) -> str:
    return "{ a " * depth + "}" * depth


def bomb(levels: int) -> str:
    """Few tokens that are many fields."""
    parts = [f"fragment F{level} on T {{ ...F{level + 1} ...F{level + 1} }}" for level in range(levels)]
    return "{ ...F0 } " + " ".join(parts) + f" fragment F{levels} on T {{ a }}"


def listing(path: str) -> str:
    return f'{{ mlflowListArtifacts(input: {{runId: "r", path: "{path}"}}) {{ files {{ path }} }} }}'


@pytest.mark.parametrize(
    "query",
    [
        SEARCH_RUNS,
        "{ __schema { types { name } } }",
        "mutation { mlflowSearchRuns(input: {}) { runs { info { runId } } } }",
        "mutation M { ... on M { ...F } } fragment F on M { mlflowSearchDatasets(input: {}) { apiError { code } } }",
        nested(MAX_DEPTH),
        "{ " + "a " * MAX_FIELDS + "}",
        bomb(9),
        listing("model/data"),
    ],
)
def test_a_read_of_reasonable_size_passes(query: str) -> None:
    check_query({"query": query})


@pytest.mark.parametrize(
    "query",
    [
        "",
        "{",
        "mutation { testMutation(inputString: 1) { output } }",
        "mutation { mlflowSearchRuns(input: {}) { runs { info { runId } } } mlflowDeleteRun(input: {}) { a } }",
        "mutation { mlflowSearchRuns: mlflowDeleteRun(input: {}) { a } }",
        "mutation { ...F } fragment F on M { mlflowDeleteRun(input: {}) { a } }",
        "query A { a } mutation B { testMutation { output } }",
        "subscription { a }",
        "fragment F on T { a }",
        "type T { a: Int }",
        "{ a } type T { a: Int }",
        "{ ...F } fragment F on T { ...F }",
        "{ ...F } fragment F on T { a { ...G } } fragment G on T { b { ...F } }",
        "{ ...Missing }",
        nested(MAX_DEPTH + 1),
        nested(400),
        "{ " + "a " * (MAX_FIELDS + 1) + "}",
        "{ " + " ".join(f"x{number}: a" for number in range(MAX_ALIASES + 1)) + " }",
        "{ " + "a " * 5_000 + "}",
        bomb(10),
        bomb(60),
        listing("../x"),
        listing("%2e%2e/x"),
        listing("/etc"),
        listing("\\u002e\\u002e/x"),
        'query($i: I = {path: "../x"}) { mlflowListArtifacts(input: $i) { files { path } } }',
        'query($p: String = "..") { mlflowListArtifacts(input: {path: $p}) { files { path } } }',
    ],
)
def test_a_write_or_a_giant_or_a_climb_is_refused(query: str) -> None:
    with pytest.raises(BadRequestError):
        check_query({"query": query})


def test_a_path_in_a_variable_is_a_path() -> None:
    query = "query($p: String) { mlflowListArtifacts(input: {path: $p}) { files { path } } }"

    check_query({"query": query, "variables": {"p": "a/b", "q": "../x"}})
    with pytest.raises(BadRequestError):
        check_query({"query": query, "variables": {"p": "../x"}})


def test_the_reading_mutations_are_all_that_mlflow_has_but_its_echo() -> None:
    mutations = schema.graphql_schema.mutation_type

    assert mutations is not None
    assert mutations.fields.keys() == READING_MUTATIONS | {"testMutation"}


@pytest.mark.parametrize(
    "body",
    [
        {"query": "mutation { testMutation { output } }"},
        [{"query": "{ a }"}],
        {"query": ["{ a }"]},
        {"query": "{ a }", "variables": {"input": {"path": "../x"}}},
        {"query": "{ a }" + " " * 65_536},
        {},
    ],
)
def test_the_upstream_sees_no_refused_query(
    gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys, body: Any
) -> None:
    key = keys()

    answers = [gateway.ask(method, "/api/mlflow/graphql", key, json.dumps(body).encode()) for method in ("GET", "POST")]

    assert {answer.status for answer in answers} <= {400, 413}
    assert gateway.ask("GET", "/api/mlflow/graphql", key).status == 400
    assert upstream.requests == []


@pytest.mark.parametrize("variables", ["a", [1], 7, None, {}, {"a": {"b": [{"c": 1}]}}])
def test_variables_of_any_kind_are_mlflows_to_judge(gateway: GatewayProcess, keys: Keys, variables: Any) -> None:
    body = json.dumps({"query": "{ a }", "variables": variables}).encode()

    assert gateway.ask("POST", "/graphql", keys(), body).status == 200


def test_what_cannot_be_parsed_is_not_repeated(gateway: GatewayProcess, keys: Keys) -> None:
    key = keys()
    secret = key["Authorization"].removeprefix("Bearer ")

    answer = gateway.ask("POST", "/graphql", key, json.dumps({"query": f"{{a}} {secret}"}).encode())
    record = gateway.access(answer.value("x-request-id"))

    assert answer.status == 400
    assert secret not in answer.body.decode() + json.dumps(record)


def test_the_uis_query_arrives_as_it_was_sent(gateway: GatewayProcess, upstream: RecordingUpstream, keys: Keys) -> None:
    body = json.dumps({"query": SEARCH_RUNS, "variables": {"data": {"experimentIds": ["0"]}}}).encode()

    for target in ("/api/mlflow/graphql", "/graphql"):
        assert gateway.ask("POST", target, keys(scopes=["read"]), body).status == 200
        assert upstream.last.body == body

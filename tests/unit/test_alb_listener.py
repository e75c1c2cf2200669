"""alb_listener as a task runs it, against the sandbox's AWS."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import acm
from ansible_collections.hokusai.platform.plugins.module_utils.elb_listener import BALANCER as BALANCER_ID
from ansible_collections.hokusai.platform.plugins.module_utils.elb_listener import LISTENER, Listener, plan
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Observed
from ansible_collections.hokusai.platform.plugins.modules import alb_listener, alb_rules
from trustme import KeyType

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import LOGIN

CREATE, MODIFY, DELETE = "create_listener", "modify_listener", "delete_listener"
ADD, REMOVE = "add_listener_certificates", "remove_listener_certificates"
ATTRIBUTES, TAGS = "modify_listener_attributes", "add_tags"
FORWARD = {"target_group": "one"}
NOT_FOUND = {"type": "fixed_response", "fixed_response": {"status_code": 404}}
TO_HTTPS = {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443"}}
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
SERVER = "routing.http.response.server.enabled"
TLS = {"port": 8443, "protocol": "HTTPS", "certificates": ["*.hokus.ai"], "default_action": NOT_FOUND}


@pytest.fixture
def listener(run_module: Any, edge: Edge, control_plane: ControlPlane) -> Any:
    def run(**options: Any) -> dict[str, Any]:
        control_plane.calls.reset()
        return dict(run_module(alb_listener.main, **{"load_balancer": BALANCER, "port": PORT, **options}))

    return run


@pytest.fixture
def certificates(edge: Edge) -> dict[str, str]:
    return {name: edge.make_certificate(name) for name in ("*.hokus.ai", "other.test")}


def verbs(result: dict[str, Any]) -> list[str]:
    return [step["verb"] for step in result["steps"]]


def live(edge: Edge, port: int = PORT) -> dict[str, Any]:
    found = edge.aws.elbv2.describe_listeners(LoadBalancerArn=edge.balancer)["Listeners"]
    return next(each for each in found if each["Port"] == port)


TRANSITIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("it is absent", {"port": 80, "protocol": "HTTP", "default_action": TO_HTTPS}, [CREATE]),
    (
        "it is absent and wants everything",
        {**TLS, "certificates": ["*.hokus.ai", "other.test"], "ssl_policy": POLICY, "attributes": {SERVER: False}},
        [CREATE, ADD, ATTRIBUTES],
    ),
    ("nothing is said about it", {}, []),
    ("it is as wanted", {"protocol": "HTTP", "default_action": NOT_FOUND}, []),
    ("its default action differs", {"default_action": FORWARD}, [MODIFY]),
    ("it becomes HTTPS", {"protocol": "HTTPS", "certificates": ["other.test"], "ssl_policy": POLICY}, [MODIFY]),
    (
        "it becomes HTTPS of two names",
        {"protocol": "HTTPS", "certificates": ["other.test", "*.hokus.ai"]},
        [MODIFY, ADD],
    ),
    ("an attribute differs", {"attributes": {SERVER: False}}, [ATTRIBUTES]),
    ("an attribute is as wanted", {"attributes": {SERVER: True}}, []),
    ("a tag is missing", {"tags": {"team": "ml"}}, [TAGS]),
    ("it is absent and not wanted", {"port": 81, "state": "absent"}, []),
]


@pytest.mark.parametrize(("title", "options", "steps"), TRANSITIONS, ids=[row[0] for row in TRANSITIONS])
def test_transition(
    title: str, options: Any, steps: list[str], listener: Any, certificates: Any, control_plane: ControlPlane
) -> None:
    predicted = listener(_check=True, **options)
    assert control_plane.calls.writes == 0
    assert verbs(predicted) == steps
    applied = listener(**options)
    assert applied["steps"] == predicted["steps"]
    again = listener(**options)
    assert (again["changed"], control_plane.calls.writes) == (False, 0)
    assert again["diff"]["before"] == again["diff"]["after"] == applied["diff"]["after"]


def test_a_listener_that_forwards_is_read_back_in_aws_own_form_and_unchanged(listener: Any, edge: Edge) -> None:
    listener(default_action=FORWARD)
    assert live(edge)["DefaultActions"][0]["ForwardConfig"]
    assert listener(default_action={"target_groups": [{"name": "one", "weight": 3}]})["steps"] == []


def test_what_is_omitted_is_unmanaged(listener: Any, edge: Edge, certificates: Any) -> None:
    listener(**TLS, ssl_policy=POLICY)
    listener(port=8443, default_action=FORWARD)
    assert live(edge, 8443)["SslPolicy"] == POLICY
    assert live(edge, 8443)["Certificates"] == [{"CertificateArn": certificates["*.hokus.ai"]}]


def test_certificates_are_added_and_removed_one_by_one(listener: Any, edge: Edge, certificates: Any) -> None:
    listener(**TLS)
    both = {**TLS, "certificates": ["*.hokus.ai", "other.test"]}
    assert verbs(listener(**both)) == [ADD]
    assert listener(**both)["steps"] == []
    served = edge.aws.elbv2.describe_listener_certificates(ListenerArn=live(edge, 8443)["ListenerArn"])
    assert {each["CertificateArn"] for each in served["Certificates"]} == set(certificates.values())
    assert verbs(listener(**TLS)) == [REMOVE]
    assert listener(**TLS)["steps"] == []


def test_the_default_certificate_changes_in_place(listener: Any, edge: Edge, certificates: Any) -> None:
    listener(**TLS)
    assert verbs(listener(**{**TLS, "certificates": ["other.test"]})) == [MODIFY]
    assert live(edge, 8443)["Certificates"] == [{"CertificateArn": certificates["other.test"]}]


def test_two_certificates_of_one_domain_nobody_names_are_both_removed(
    listener: Any, edge: Edge, certificates: Any
) -> None:
    twins = [edge.make_certificate("twin.test") for _ in range(2)]
    served = [certificates["*.hokus.ai"], *twins]
    arn = edge.make_listener(8443, Protocol="HTTPS", SslPolicy=POLICY, Certificates=[{"CertificateArn": served[0]}])
    edge.aws.elbv2.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": each} for each in twins])
    assert verbs(listener(**TLS)) == [REMOVE]
    left = edge.aws.elbv2.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert {each["CertificateArn"] for each in left} == {served[0]}


def test_a_new_https_listener_speaks_no_old_tls_unless_asked_to(listener: Any, edge: Edge, certificates: Any) -> None:
    listener(**TLS)
    assert live(edge, 8443)["SslPolicy"] == POLICY
    listener(**{**TLS, "port": 9443}, ssl_policy="ELBSecurityPolicy-2016-08")
    assert live(edge, 9443)["SslPolicy"] == "ELBSecurityPolicy-2016-08"


def test_a_listener_that_becomes_https_speaks_no_old_tls(listener: Any, edge: Edge, certificates: Any) -> None:
    listener(protocol="HTTPS", certificates=["other.test"])
    assert live(edge)["SslPolicy"] == POLICY


def test_the_tls_policy_of_an_https_listener_is_left_alone_when_omitted(
    listener: Any, edge: Edge, certificates: Any
) -> None:
    listener(**TLS, ssl_policy="ELBSecurityPolicy-2016-08")
    assert listener(**TLS)["steps"] == []
    assert verbs(listener(**{**TLS, "default_action": FORWARD})) == [MODIFY]
    assert live(edge, 8443)["SslPolicy"] == "ELBSecurityPolicy-2016-08"


def test_an_authentication_by_default_is_never_dropped(listener: Any, edge: Edge, control_plane: ControlPlane) -> None:
    forward = {"Type": "forward", "TargetGroupArn": edge.groups["one"], "Order": 2}
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=[LOGIN, forward])
    result = listener(default_action=FORWARD)
    assert "Default action of edge:443: the live one has the action authenticate-oidc" in result["msg"]
    assert "omit default_action" in result["remedy"]
    assert control_plane.calls.writes == 0
    assert verbs(listener(attributes={SERVER: False})) == [ATTRIBUTES]


def test_a_certificate_is_added_before_the_default_one_changes_and_removed_after() -> None:
    current = Listener("edge:443", 443, "HTTPS", certificates=("a", "b", "c"))
    desired = Listener("edge:443", 443, "HTTPS", certificates=("d", "a", "c"))
    ids = {name: f"arn-of-{name}" for name in "abcd"} | {LISTENER: "arn", BALANCER_ID: "arn"}
    steps = list(plan(Observed(current, ids), desired))
    assert [step.verb for step in steps] == [ADD, MODIFY, REMOVE]
    assert [[each["CertificateArn"][-1] for each in step.args["Certificates"]] for step in steps] == [
        ["a"],
        ["d"],
        ["b"],
    ]


def test_two_certificates_of_one_name_are_both_listed(listener: Any, edge: Edge, certificates: Any) -> None:
    second = edge.make_certificate("*.hokus.ai")
    result = listener(**TLS)
    assert result["error"] == "Ambiguous"
    assert second in result["msg"]
    assert certificates["*.hokus.ai"] in result["msg"]
    assert verbs(listener(**{**TLS, "certificates": [second]})) == [CREATE]
    assert listener(**{**TLS, "certificates": [second]})["steps"] == []


def test_a_certificate_that_is_not_issued_is_refused(listener: Any, edge: Edge, control_plane: ControlPlane) -> None:
    edge.aws.acm.request_certificate(DomainName="pending.test")
    result = listener(**{**TLS, "certificates": ["pending.test"]})
    assert "Certificate pending.test is PENDING_VALIDATION, not ISSUED" in result["msg"]
    assert control_plane.calls.writes == 0


@pytest.mark.parametrize(
    ("certificates", "words"),
    [
        ([("PENDING_VALIDATION", "AMAZON_ISSUED")], "finish its validation, or name another"),
        ([("EXPIRED", "IMPORTED")], "import it again, or name another"),
        ([("EXPIRED", "AMAZON_ISSUED")], "request a new one, or name another"),
        ([("VALIDATION_TIMED_OUT", "AMAZON_ISSUED")], "request a new one, or name another"),
        ([("EXPIRED", "IMPORTED"), ("FAILED", "AMAZON_ISSUED")], "import it again, request a new one, or name another"),
    ],
)
def test_the_remedy_for_a_certificate_is_that_of_its_state_and_kind(
    certificates: list[tuple[str, str]], words: str
) -> None:
    listed = [
        {"CertificateArn": f"arn-{n}", "DomainName": "hokus.ai", "Status": status, "Type": kind}
        for n, (status, kind) in enumerate(certificates)
    ]
    with pytest.raises(BadInput) as refused:
        acm.Certificates(tuple(listed), "us-east-1").arn("hokus.ai")
    assert refused.value.remedy == words


def test_a_certificate_that_does_not_exist_is_named_with_its_region(listener: Any, edge: Edge) -> None:
    assert "No certificate *.hokus.ai in ACM in us-east-1" in listener(**TLS)["msg"]


def test_a_certificate_is_found_whatever_its_key_is(listener: Any, edge: Edge) -> None:
    """ListCertificates shows none with an ECDSA key unless asked to."""
    arn = edge.make_certificate("*.hokus.ai", key=KeyType.ECDSA)
    assert edge.aws.acm.list_certificates()["CertificateSummaryList"] == []
    assert verbs(listener(**TLS)) == [CREATE]
    assert live(edge, 8443)["Certificates"] == [{"CertificateArn": arn}]


def test_a_certificate_of_iam_is_refused_for_nobody_could_tell_when_it_ends(listener: Any, edge: Edge) -> None:
    result = listener(**{**TLS, "certificates": ["arn:aws:iam::123456789012:server-certificate/old"]})
    assert "server-certificate/old is none of ACM's" in result["msg"]
    assert "import it into ACM" in result["remedy"]


def test_a_certificate_is_found_by_its_main_name_or_else_by_an_alternative_one() -> None:
    def listed(arn: str, *names: str) -> dict[str, Any]:
        summary = {"CertificateArn": arn, "DomainName": names[0], "Status": "ISSUED"}
        return {**summary, "SubjectAlternativeNameSummaries": list(names)}

    found = acm.Certificates((listed("arn-1", "hokus.ai", "*.hokus.ai"), listed("arn-2", "*.hokus.ai")), "us-east-1")
    assert found.arn("*.hokus.ai") == "arn-2"
    assert found.arn("hokus.ai") == "arn-1"
    alone = acm.Certificates(found.listed[:1], "us-east-1")
    assert alone.arn("*.hokus.ai") == "arn-1"


def test_a_certificate_without_a_main_name_is_in_nobodys_way() -> None:
    nameless = {"CertificateArn": "arn-1", "Status": "ISSUED", "SubjectAlternativeNameSummaries": ["hokus.ai"]}
    other = {"CertificateArn": "arn-2", "Status": "ISSUED", "DomainName": "*.hokus.ai"}
    found = acm.Certificates((nameless, other), "us-east-1")
    assert (found.arn("*.hokus.ai"), found.arn("hokus.ai")) == ("arn-2", "arn-1")
    assert (found.name("arn-1", {}), found.name("arn-2", {})) == ("arn-1", "*.hokus.ai")


BAD = [
    ({"port": 80, "default_action": NOT_FOUND}, "protocol is not set"),
    ({"port": 80, "protocol": "HTTP"}, "default_action is not set"),
    ({"port": 80, "protocol": "HTTPS", "default_action": NOT_FOUND}, "certificates is not set"),
    ({"certificates": []}, "the list of certificates is empty"),
    ({"default_action": {"type": "redirect", "redirect": {"query": "x"}}}, "the redirect leads to itself"),
    ({"default_action": {"type": "fixed_response", "fixed_response": {"status_code": 302}}}, "302 is no status"),
    ({"default_action": {"target_groups": []}}, "it forwards to nothing"),
    ({"default_action": {"target_group": "nowhere"}}, "nowhere does not exist"),
    ({"default_action": {"type": "forward"}}, "target_group"),
    ({"load_balancer": "nope"}, "No load balancer nope in us-east-1"),
]


@pytest.mark.parametrize(("options", "problem"), BAD, ids=[row[1] for row in BAD])
def test_bad_input_is_refused_before_the_first_write(
    options: Any, problem: str, listener: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    result = listener(**options)
    assert result["failed"]
    assert problem in result["msg"]
    assert control_plane.calls.writes == 0


def test_a_listener_of_ours_is_deleted_and_any_other_is_not(listener: Any, edge: Edge) -> None:
    listener(port=80, protocol="HTTP", default_action=TO_HTTPS)
    assert verbs(listener(port=80, state="absent")) == [DELETE]
    assert "was not made by this collection" in listener(state="absent")["msg"]
    assert live(edge)


def test_a_read_that_is_denied_is_an_error_and_never_an_absence(
    listener: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    for action in ("elbv2:DescribeListeners", "acm:ListCertificates", "elbv2:DescribeTargetGroups"):
        control_plane.faults.replace([Fault(action, code="AccessDenied", status=403, times=-1)])
        result = listener(**{**TLS, "default_action": FORWARD})
        assert "AccessDenied" in result["msg"], action
        assert control_plane.calls.writes == 0


def test_a_create_whose_answer_was_lost_is_found_again(listener: Any, edge: Edge, control_plane: ControlPlane) -> None:
    control_plane.faults.add(Fault("elbv2:CreateListener", code="InternalFailure", status=500, after=True))
    assert verbs(listener(port=80, protocol="HTTP", default_action=TO_HTTPS)) == [CREATE]


def test_a_listener_with_rules_comes_about_in_one_play(listener: Any, run_module: Any, edge: Edge) -> None:
    """The peer's 10.x cannot create a listener with rules in one run."""

    assert verbs(listener(port=80, protocol="HTTP", default_action=TO_HTTPS)) == [CREATE]
    rules = [{"name": "a", "priority": 1, "paths": ["/a"], "action": FORWARD}]
    made = run_module(alb_rules.main, load_balancer=BALANCER, port=80, rules=rules)
    assert verbs(made) == ["create_rule"]


def test_a_default_action_for_a_new_listener_alone_is_left_to_the_plan_of_the_rules(
    listener: Any, edge: Edge, control_plane: ControlPlane
) -> None:
    asked = {"protocol": "HTTP", "default_action": FORWARD, "update_default_action": "on_create"}
    predicted = listener(_check=True, port=80, **asked)
    made = listener(port=80, **asked)
    assert (verbs(made), made["resource"]) == ([CREATE], predicted["resource"])
    assert live(edge, 80)["DefaultActions"][0]["TargetGroupArn"] == edge.groups["one"]
    before = live(edge)
    kept = listener(**asked, attributes={SERVER: False})
    assert verbs(kept) == [ATTRIBUTES]
    assert kept["diff"]["before"]["default_action"] == kept["diff"]["after"]["default_action"]
    assert live(edge)["DefaultActions"] == before["DefaultActions"]


def test_a_login_in_front_of_a_default_action_that_is_left_alone_is_no_matter(listener: Any, edge: Edge) -> None:
    actions = [LOGIN, {"Type": "forward", "TargetGroupArn": edge.groups["one"], "Order": 2}]
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=actions)
    assert verbs(listener(protocol="HTTP", default_action=FORWARD, update_default_action="on_create")) == []

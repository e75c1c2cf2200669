"""A load balancer keeps a client with its group and its target, by cookies."""

from __future__ import annotations

from dataclasses import replace

from sandbox.tests.dataplane_bench import Bench, default, forward

BASE = "https://registry.hokus.ai"


def test_a_rule_with_stickiness_keeps_a_client_with_its_group_and_divides_the_clients(bench: Bench) -> None:
    groups = [bench.group(name, bench.backend(name=name)[1]) for name in ("old", "new")]
    sticky = forward(*groups)
    sticky["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 60}
    bench.serve(default(sticky))
    bench.start()
    clients = [bench.session() for _ in range(4)]
    seen = [[client.get(BASE).text for _ in range(3)] for client in clients]
    assert sorted(seen) == [["new"] * 3] * 2 + [["old"] * 3] * 2
    assert {cookie.name for cookie in clients[0].cookies} == {"AWSALBTG", "AWSALBTGCORS"}


def test_without_cookies_stickiness_holds_nobody(bench: Bench) -> None:
    sticky = forward(*(bench.group(name, bench.backend(name=name)[1]) for name in ("old", "new")))
    sticky["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 60}
    bench.serve(default(sticky))
    bench.start()
    assert sorted(bench.session().get(BASE).text for _ in range(4)) == ["new", "new", "old", "old"]


def test_a_group_with_stickiness_keeps_a_client_with_a_target_as_long_as_that_is_healthy(bench: Bench) -> None:
    (one, first), (two, second) = bench.backend(), bench.backend()
    arn = bench.group("g", first, second)
    bench.world.groups[arn] = replace(bench.world.groups[arn], attributes={"stickiness.enabled": "true"})
    bench.serve(default(forward(arn)))
    client = bench.start().session()
    for _ in range(4):
        client.get(BASE)
    assert sorted((len(one.seen), len(two.seen))) == [0, 4]
    kept = first if one.seen else second
    left = [replace(each, state="unhealthy") if each == kept else each for each in (first, second)]
    bench.world.groups[arn] = replace(bench.world.groups[arn], targets=tuple(left))
    assert client.get(BASE).status_code == 200
    assert (len(one.seen), len(two.seen)) in {(4, 1), (1, 4)}

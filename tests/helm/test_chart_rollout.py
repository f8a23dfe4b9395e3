"""Rollout, scaling and the network of the chart's pods."""

from __future__ import annotations

import pytest

from tests.helm.chart_value_cases import FULL, GOOD, MINIMAL, Values
from tests.helm.rendered_chart import (
    KUBERNETES,
    OLDEST,
    container,
    each_good,
    pod,
    render,
)


@each_good
def test_a_rollout_never_has_fewer_pods(values: Values) -> None:
    """A new pod is ready before an old one goes."""
    strategy = render(values)["Deployment"]["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_a_pod_serves_on_before_it_drains(kubernetes: str) -> None:
    """The preStop sleep is the cluster's own where it has one, else Python's, and leaves time to drain."""
    hook = container(MINIMAL, kubernetes)["lifecycle"]["preStop"]
    if kubernetes == OLDEST:
        assert hook == {"exec": {"command": ["python", "-c", "import time; time.sleep(5)"]}}
    else:
        assert hook == {"sleep": {"seconds": 5}}
    assert pod(MINIMAL, kubernetes)["terminationGracePeriodSeconds"] == 30


def test_no_sleep_no_hook() -> None:
    """A sleep of zero leaves the hook out, which releases before 1.33 would refuse."""
    assert "lifecycle" not in container(MINIMAL | {"preStopSleepSeconds": 0})


def test_replicas_are_spread_over_nodes_and_zones() -> None:
    """The replicas of one revision are spread, as a wish by default and as a rule when told so."""
    for values, rule in ((MINIMAL, "ScheduleAnyway"), (FULL, "DoNotSchedule")):
        constraints = pod(values)["topologySpreadConstraints"]
        keys = [constraint["topologyKey"] for constraint in constraints]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for constraint in constraints:
            assert constraint["whenUnsatisfiable"] == rule
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]


@pytest.mark.parametrize(
    ("changes", "present"),
    [
        ({"replicas": 1}, False),
        ({"replicas": 2}, True),
        ({"replicas": 1, "autoscaling": {"enabled": True, "minReplicas": 2}}, True),
        ({"replicas": 2, "autoscaling": {"enabled": True, "minReplicas": 1}}, False),
    ],
)
def test_a_disruption_budget_stands_over_several_pods_only(changes: Values, present: bool) -> None:
    """A budget lets one pod go at a time; over a single pod it would only hold up the drain of a node."""
    budget = render(MINIMAL | changes).get("PodDisruptionBudget")
    assert (budget is not None) is present
    if budget:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_autoscaler_alone_sets_the_replicas() -> None:
    """With the autoscaler on, the Deployment says no number that an upgrade would reset."""
    objects = render(FULL)
    assert "replicas" not in objects["Deployment"]["spec"]
    spec = objects["HorizontalPodAutoscaler"]["spec"]
    assert spec["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 20)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert render(MINIMAL | {"replicas": 4})["Deployment"]["spec"]["replicas"] == 4


def test_network_policy_by_default_lets_the_namespace_in() -> None:
    """Switched on alone, the policy lets only the namespace's own pods in and does not touch egress."""
    spec = render(GOOD["network policy"])["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}]
    assert "egress" not in spec


def test_network_policy_with_egress_keeps_dns() -> None:
    """Named peers replace the default, and named egress rules stand beside DNS."""
    spec = render(FULL)["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0]["from"] == FULL["networkPolicy"]["ingressFrom"]
    dns, *named = spec["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert named == FULL["networkPolicy"]["egress"]


def test_service_monitor_scrapes_the_service() -> None:
    """The monitor finds the Service and its port, and carries the labels it is chosen by."""
    objects = render(FULL)
    monitor = objects["ServiceMonitor"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    service = objects["Service"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "15s"}]
    assert service["spec"]["ports"][0]["name"] == "http"

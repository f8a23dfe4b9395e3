"""Rollout, scaling, network policy and monitoring of the chart."""

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
    """An old pod is stopped only after a new one is ready."""
    strategy = render(values)["Deployment"]["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_a_pod_sleeps_before_it_stops(kubernetes: str) -> None:
    """The preStop hook uses the sleep action where the cluster has it, otherwise Python, and leaves time to drain."""
    hook = container(MINIMAL, kubernetes)["lifecycle"]["preStop"]
    if kubernetes == OLDEST:
        assert hook == {"exec": {"command": ["python", "-c", "import time; time.sleep(5)"]}}
    else:
        assert hook == {"sleep": {"seconds": 5}}
    assert pod(MINIMAL, kubernetes)["terminationGracePeriodSeconds"] == 30


def test_without_a_sleep_there_is_no_hook() -> None:
    """With a sleep of 0 there is no hook, because releases before 1.33 refuse it."""
    assert "lifecycle" not in container(MINIMAL | {"preStopSleepSeconds": 0})


def test_replicas_are_spread_over_nodes_and_zones() -> None:
    """The replicas of one revision are spread: as a preference by default, or as a requirement."""
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
def test_only_several_pods_have_a_disruption_budget(changes: Values, present: bool) -> None:
    """The budget allows one unavailable pod; for a single pod it would only block the drain of a node."""
    budget = render(MINIMAL | changes).get("PodDisruptionBudget")
    assert (budget is not None) is present
    if budget:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_only_the_autoscaler_sets_the_replicas() -> None:
    """With the autoscaler, the Deployment has no replica count that an upgrade would reset."""
    objects = render(FULL)
    assert "replicas" not in objects["Deployment"]["spec"]
    spec = objects["HorizontalPodAutoscaler"]["spec"]
    assert spec["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 20)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert render(MINIMAL | {"replicas": 4})["Deployment"]["spec"]["replicas"] == 4


def test_the_default_network_policy_allows_the_namespace() -> None:
    """By default the policy allows only pods of the namespace, and does not restrict egress."""
    spec = render(GOOD["network policy"])["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}]
    assert "egress" not in spec


def test_a_network_policy_with_egress_allows_dns() -> None:
    """Configured peers replace the default, and DNS is allowed beside the configured egress rules."""
    spec = render(FULL)["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0]["from"] == FULL["networkPolicy"]["ingressFrom"]
    dns, *named = spec["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert named == FULL["networkPolicy"]["egress"]


def test_service_monitor_scrapes_the_service() -> None:
    """The monitor selects the Service and its port, and has the labels by which Prometheus selects it."""
    objects = render(FULL)
    monitor = objects["ServiceMonitor"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    service = objects["Service"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "15s"}]
    assert service["spec"]["ports"][0]["name"] == "http"

"""The chart, rendered by helm: what it puts into a cluster, held against Kubernetes' own schemas."""

from __future__ import annotations

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.helm.chart_value_cases import BAD, CONFIG, FULL, MINIMAL, Bad, Values
from tests.helm.rendered_chart import (
    KUBERNETES,
    container,
    each_good,
    helm,
    pod,
    refusal,
    render,
)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@each_good
def test_every_object_is_valid(values: Values, kubernetes: str) -> None:
    """Every release of Kubernetes, oldest to newest, accepts every object and knows every field."""
    for kind, manifest in render(values, kubernetes).items():
        if kind != "ServiceMonitor":  # a CRD, which the schemas do not have: a test of its own holds it
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


@each_good
def test_lint_has_no_complaint(values: Values) -> None:
    """Helm lint finds no error and no warning."""
    run = helm("lint", "--strict", "--kube-version", KUBERNETES[-1], values=values)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_values_are_refused(bad: Bad) -> None:
    """Helm itself refuses each mistake through the schema, and names the place."""
    message = refusal(MINIMAL | bad.changes)
    assert "values don't meet the specifications of the schema" in message
    assert bad.names in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secretEnv": {}}, 'config names "env:OTP_REDIS_URL", but secretEnv has no OTP_REDIS_URL'),
        ({"secretFiles": {}}, 'config names "file:/run/secrets/otp_token_t1.pem", but secretFiles has no'),
        ({"config": "[redis]\nurl = 'env:OTHER'\n"}, 'config names "env:OTHER"'),
        (
            {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}},
            "minReplicas 5 is over autoscaling.maxReplicas 4",
        ),
        ({"terminationGracePeriodSeconds": 5}, "leaves nothing of terminationGracePeriodSeconds 5"),
    ],
    ids=["variable", "file", "single quotes", "autoscaling", "grace period"],
)
def test_values_that_do_not_fit_together_are_refused(changes: Values, message: str) -> None:
    """A secret that the configuration names and the values lack, and the like, stop an install."""
    assert message in refusal(MINIMAL | changes)


def test_a_secret_in_a_comment_is_not_asked_for() -> None:
    """A line of the configuration that is commented out needs no Secret."""
    render(MINIMAL | {"config": CONFIG + '# k0 = "env:OLD_KEY"\nx = 1 # "file:/run/secrets/old.pem"\n'})


def test_an_older_kubernetes_is_refused() -> None:
    """A release that the chart was not validated for is refused by name."""
    run = helm("template", "--kube-version", "1.28.15", values=MINIMAL)
    assert run.returncode != 0
    assert "chart requires kubeVersion: >=1.29" in run.stderr


def test_a_vendor_suffix_of_the_version_is_no_hindrance() -> None:
    """Managed clusters, whose versions look like pre-releases, are served as what they are."""
    assert "sleep" in container(MINIMAL, "v1.30.2-gke.100")["lifecycle"]["preStop"]
    assert "exec" in container(MINIMAL, "v1.29.15-eks-123")["lifecycle"]["preStop"]


def test_minimal_install() -> None:
    """Without options an install is a Deployment with what it needs, on any plain cluster."""
    assert set(render(MINIMAL)) == {
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


def test_objects_of_one_install_share_name_and_labels() -> None:
    """Every object is named after the release and found by the recommended labels."""
    for manifest in render(MINIMAL).values():
        assert manifest["metadata"]["name"] == "rel-otp-service"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "otp-service"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "rel"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


@each_good
def test_every_selector_finds_the_pods(values: Values) -> None:
    """Whatever selects pods selects the labels that the pods have."""
    objects = render(values)
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        objects["Service"]["spec"]["selector"],
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in pod(values)["topologySpreadConstraints"]),
    ]
    if budget := objects.get("PodDisruptionBudget"):
        selectors.append(budget["spec"]["selector"]["matchLabels"])
    if policy := objects.get("NetworkPolicy"):
        selectors.append(policy["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector == {"app.kubernetes.io/name": "otp-service", "app.kubernetes.io/instance": "rel"}
        assert selector.items() <= labels.items()


def test_image_is_the_charts_version_a_tag_or_a_digest() -> None:
    """The tag follows the chart's appVersion until one is given, and a digest wins over both."""
    digest = "sha256:" + "0" * 64
    assert container(MINIMAL)["image"] == "otp-service:0.1.0"
    assert container(MINIMAL | {"image": {"tag": "0.2.0"}})["image"] == "otp-service:0.2.0"
    assert container(FULL)["image"] == f"registry.example:5000/team/otp-service@{digest}"


def test_full_values_arrive() -> None:
    """What an install may say about its pods and its Service stands in them."""
    spec = pod(FULL)
    for key in (
        "priorityClassName",
        "nodeSelector",
        "tolerations",
        "affinity",
        "terminationGracePeriodSeconds",
    ):
        assert spec[key] == FULL[key]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert container(FULL)["resources"] == FULL["resources"]
    objects = render(FULL)
    template = objects["Deployment"]["spec"]["template"]["metadata"]
    assert FULL["podLabels"].items() <= template["labels"].items()
    assert FULL["podAnnotations"].items() <= template["annotations"].items()
    service = objects["Service"]
    assert service["metadata"]["annotations"] == FULL["service"]["annotations"]
    assert (service["spec"]["type"], service["spec"]["ports"][0]["port"]) == ("LoadBalancer", 80)
    assert {one["metadata"]["name"] for one in objects.values()} == {"otp"}

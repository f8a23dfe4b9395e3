"""The rendered chart: valid objects for each release of Kubernetes, refused values, names and labels."""

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
    """The schemas of the oldest and the newest supported Kubernetes accept every object and know every field."""
    for kind, manifest in render(values, kubernetes).items():
        if kind != "ServiceMonitor":  # a CRD that the schemas do not include; it has its own test
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


@each_good
def test_lint_has_no_complaint(values: Values) -> None:
    """`helm lint` finds no error and no warning."""
    run = helm("lint", "--strict", "--kube-version", KUBERNETES[-1], values=values)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_values_are_refused(bad: Bad) -> None:
    """Helm refuses each invalid value through the schema, and names its path."""
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
    """An install fails if values contradict each other, such as a secret that the config names and the values lack."""
    assert message in refusal(MINIMAL | changes)


def test_a_secret_in_a_comment_is_not_required() -> None:
    """A commented line of the config needs no Secret."""
    render(MINIMAL | {"config": CONFIG + '# k0 = "env:OLD_KEY"\nx = 1 # "file:/run/secrets/old.pem"\n'})


def test_an_older_kubernetes_is_refused() -> None:
    """A release older than 1.29 is refused with a message."""
    run = helm("template", "--kube-version", "1.28.15", values=MINIMAL)
    assert run.returncode != 0
    assert "chart requires kubeVersion: >=1.29" in run.stderr


def test_a_vendor_suffix_of_the_version_is_accepted() -> None:
    """The version of a managed cluster, which looks like a pre-release, is read as its release."""
    assert "sleep" in container(MINIMAL, "v1.30.2-gke.100")["lifecycle"]["preStop"]
    assert "exec" in container(MINIMAL, "v1.29.15-eks-123")["lifecycle"]["preStop"]


def test_minimal_install() -> None:
    """An install without options has a Deployment and what it needs, on any cluster."""
    assert set(render(MINIMAL)) == {
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


def test_objects_of_one_install_share_name_and_labels() -> None:
    """Every object has the name of the release and the recommended labels."""
    for manifest in render(MINIMAL).values():
        assert manifest["metadata"]["name"] == "rel-otp-service"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "otp-service"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "rel"
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


@each_good
def test_every_selector_finds_the_pods(values: Values) -> None:
    """Every pod selector matches the labels of the pods."""
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
    """The default tag is the chart's appVersion; a tag overrides it, and a digest overrides both."""
    digest = "sha256:" + "0" * 64
    assert container(MINIMAL)["image"] == "otp-service:0.1.0"
    assert container(MINIMAL | {"image": {"tag": "0.2.0"}})["image"] == "otp-service:0.2.0"
    assert container(FULL)["image"] == f"registry.example:5000/team/otp-service@{digest}"


def test_full_values_are_rendered() -> None:
    """The values for the pods and the Service appear in them."""
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

"""The chart, rendered by helm: what it puts into a cluster, held against Kubernetes' own schemas."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from tests.helm.chart_value_cases import BAD, CHART, CONFIG, FULL, GOOD, MINIMAL, Bad, Values

HELM = shutil.which(os.environ.get("HELM_BIN") or "helm") or shutil.which("helm")
if HELM is None:
    pytest.skip(
        "no helm on PATH or in HELM_BIN: the chart was not rendered, linted or validated",
        allow_module_level=True,
    )

Manifest = dict[str, Any]

OLDEST = "1.29"
KUBERNETES = (OLDEST, "1.33", ".".join(kubernetes_validate.latest_version().split(".")[:2]))


def helm(verb: str, *options: str, values: Values) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart, with the values as an install gives them."""
    assert HELM
    name = ["rel"] if verb == "template" else []
    return subprocess.run(
        [HELM, verb, *name, str(CHART), "--values", "-", *options],
        input=json.dumps(values, ensure_ascii=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@functools.cache
def rendered(values: str, kubernetes: str) -> tuple[Manifest, ...]:
    """Render once what several tests look at."""
    run = helm("template", "--kube-version", kubernetes, values=json.loads(values))
    assert run.returncode == 0, run.stderr
    return tuple(yaml.safe_load_all(run.stdout))


def render(values: Values, kubernetes: str = KUBERNETES[-1]) -> dict[str, Manifest]:
    """The objects of an install, by kind; the chart makes one of each at most."""
    objects = rendered(json.dumps(values), kubernetes)
    by_kind = {str(one["kind"]): one for one in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def refusal(values: Values) -> str:
    """What helm says to values that it refuses."""
    run = helm("template", "--kube-version", KUBERNETES[-1], values=values)
    assert run.returncode != 0
    assert not run.stdout
    return run.stderr


def pod(values: Values, kubernetes: str = KUBERNETES[-1]) -> Manifest:
    """The specification of the Deployment's pods."""
    spec = render(values, kubernetes)["Deployment"]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(values: Values, kubernetes: str = KUBERNETES[-1]) -> Manifest:
    """The one container of a pod."""
    (only,) = pod(values, kubernetes)["containers"]
    assert isinstance(only, dict)
    return only


each_good = pytest.mark.parametrize("values", GOOD.values(), ids=GOOD.keys())


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


@each_good
def test_the_pod_may_do_as_little_as_possible(values: Values) -> None:
    """The pod is held to the restricted Pod Security Standard and more, whatever the values say."""
    assert pod(values)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(values)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(values).keys()


@each_good
def test_the_pod_has_no_token_of_the_cluster(values: Values) -> None:
    """Neither the account nor the pod mounts a token, and the pod names the account that the chart makes."""
    assert pod(values)["automountServiceAccountToken"] is False
    assert pod(values)["enableServiceLinks"] is False
    if account := render(values).get("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
        assert pod(values)["serviceAccountName"] == account["metadata"]["name"]


def test_an_account_of_the_clusters_own_is_used() -> None:
    """With `create` off no account is made, and the named one is used, or else the namespace's default."""
    assert "ServiceAccount" not in render(FULL)
    assert pod(FULL)["serviceAccountName"] == "otp"
    assert pod(MINIMAL | {"serviceAccount": {"create": False}})["serviceAccountName"] == "default"


@each_good
def test_the_container_serves_the_mounted_configuration(values: Values) -> None:
    """The command reads the mounted file and listens where the port, the probes and the Service point."""
    only = container(values)
    config = "/etc/otp-service/config.toml"
    assert only["command"] + only["args"] == [
        *["otp-service", "serve", "--config", config],
        *["--host", "0.0.0.0", "--port", "8000"],
    ]
    assert only["ports"] == [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    (port,) = render(values)["Service"]["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("http", "http")


@each_good
def test_probes(values: Values) -> None:
    """Only the readiness probe looks further than the process, so that an outage of Redis restarts no pod."""
    only = container(values)
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        assert only[probe]["httpGet"] == {"path": path, "port": "http"}
    startup = only["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


@each_good
def test_the_configuration_arrives_as_it_was_written(values: Values) -> None:
    """The mounted text is the given one, and its checksum on the pods makes a change roll them."""
    objects = render(values)
    mounts = {mount["mountPath"]: mount for mount in container(values)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(values)["volumes"]}
    mount = mounts["/etc/otp-service"]
    assert mount["readOnly"] is True
    assert volumes[mount["name"]]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert objects["ConfigMap"]["data"] == {"config.toml": values["config"]}
    annotations = objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["checksum/config"] == hashlib.sha256(values["config"].encode()).hexdigest()


@pytest.mark.parametrize(
    "config",
    [
        "  # indented\n[a]\nb = 1\n",
        "\n\n[a]\nb = 1\n",
        "[a]\n\tb = '{brand}: {{ .Values.x }} \\d'\n",
        '[a]\nb = """\n---\n  two: lines\n"""',
        "[a]\nb = 'réponse, 验证码 \U0001f512 %s $X'\n",
    ],
    ids=["spaces", "blank lines", "braces", "document mark", "other scripts"],
)
def test_no_text_of_a_configuration_is_read_as_yaml_or_template(config: str) -> None:
    """Whatever TOML is given, the service reads the same TOML."""
    mounted = render(MINIMAL | {"config": config})["ConfigMap"]["data"]["config.toml"]
    assert tomllib.loads(mounted) == tomllib.loads(config)


def test_a_change_of_the_configuration_changes_the_pods() -> None:
    """Two configurations never have the same pods."""
    before, after = (
        render(MINIMAL | {"config": config})["Deployment"]["spec"]["template"]
        for config in (CONFIG, CONFIG + "[server]\nworkers = 2\n")
    )
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]


def test_variables_come_out_of_secrets_by_name() -> None:
    """Every variable but the CPU count is a reference to a key of an existing Secret."""
    cpus, *secrets = container(MINIMAL)["env"]
    assert cpus == {"name": "PYTHON_CPU_COUNT", "value": "4"}
    assert secrets == [
        {"name": variable, "valueFrom": {"secretKeyRef": MINIMAL["secretEnv"][variable]}}
        for variable in sorted(MINIMAL["secretEnv"])
    ]


def test_files_come_out_of_secrets_by_name() -> None:
    """Every file stands, read-only and for the service's group only, where the configuration looks for it."""
    (mount,) = (mount for mount in container(MINIMAL)["volumeMounts"] if mount["name"] == "secrets")
    (volume,) = (volume for volume in pod(MINIMAL)["volumes"] if volume["name"] == "secrets")
    file = "otp_token_t1.pem"
    assert mount == {
        "name": "secrets",
        "mountPath": f"/run/secrets/{file}",
        "subPath": file,
        "readOnly": True,
    }
    secret = {"name": "otp-token", "items": [{"key": "t1.pem", "path": file}]}
    assert volume["projected"] == {"defaultMode": 0o440, "sources": [{"secret": secret}]}


def test_names_that_look_like_numbers_stay_names() -> None:
    """A Secret called 123 is referenced as text, which is what Kubernetes takes."""
    values = MINIMAL | {"secretEnv": MINIMAL["secretEnv"] | {"A": {"name": "123", "key": "1e3"}}}
    assert container(values)["env"][1]["valueFrom"]["secretKeyRef"] == {"name": "123", "key": "1e3"}
    kubernetes_validate.validate(render(values)["Deployment"], KUBERNETES[-1], strict=True)


@each_good
def test_the_only_place_to_write_is_a_bounded_tmp(values: Values) -> None:
    """Every mount but /tmp is read-only, and /tmp cannot fill the node."""
    writable = [mount for mount in container(values)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [{"name": "tmp", "mountPath": "/tmp"}]
    (volume,) = (volume for volume in pod(values)["volumes"] if volume["name"] == "tmp")
    assert volume["emptyDir"]["sizeLimit"]


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

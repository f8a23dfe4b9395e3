"""The pods of the chart: what they run, may do, read and write."""

from __future__ import annotations

import hashlib
import tomllib

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.helm.chart_value_cases import CONFIG, FULL, MINIMAL, Values
from tests.helm.rendered_chart import (
    KUBERNETES,
    container,
    each_good,
    pod,
    render,
)


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

"""The pods of the chart: security context, command, probes, config, secrets and mounts."""

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
def test_the_pod_has_the_fewest_privileges(values: Values) -> None:
    """The pod meets the restricted Pod Security Standard and more, with any values."""
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
def test_the_pod_has_no_api_token(values: Values) -> None:
    """Neither the service account nor the pod mounts a token, and the pod uses the account of the chart."""
    assert pod(values)["automountServiceAccountToken"] is False
    assert pod(values)["enableServiceLinks"] is False
    if account := render(values).get("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
        assert pod(values)["serviceAccountName"] == account["metadata"]["name"]


def test_an_existing_service_account_is_used() -> None:
    """Without `create` the pod uses the named service account, or the default one of the namespace."""
    assert "ServiceAccount" not in render(FULL)
    assert pod(FULL)["serviceAccountName"] == "otp"
    assert pod(MINIMAL | {"serviceAccount": {"create": False}})["serviceAccountName"] == "default"


@each_good
def test_the_container_serves_the_mounted_configuration(values: Values) -> None:
    """The command reads the mounted file and listens on the port of the probes and the Service."""
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
    """Only the readiness probe checks more than the process, so that an outage of Redis restarts no pod."""
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
def test_the_config_is_mounted_unchanged(values: Values) -> None:
    """The mounted text equals the given one, and its checksum on the pods makes a change restart them."""
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
def test_a_config_is_not_parsed_as_yaml_or_template(config: str) -> None:
    """The service reads exactly the given TOML."""
    mounted = render(MINIMAL | {"config": config})["ConfigMap"]["data"]["config.toml"]
    assert tomllib.loads(mounted) == tomllib.loads(config)


def test_a_changed_config_changes_the_pods() -> None:
    """Different configs have different pod templates."""
    before, after = (
        render(MINIMAL | {"config": config})["Deployment"]["spec"]["template"]
        for config in (CONFIG, CONFIG + "[server]\nworkers = 2\n")
    )
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]


def test_variables_are_references_to_secrets() -> None:
    """Every variable except the CPU count refers to a key of an existing Secret."""
    cpus, *secrets = container(MINIMAL)["env"]
    assert cpus == {"name": "PYTHON_CPU_COUNT", "value": "4"}
    assert secrets == [
        {"name": variable, "valueFrom": {"secretKeyRef": MINIMAL["secretEnv"][variable]}}
        for variable in sorted(MINIMAL["secretEnv"])
    ]


def test_files_are_mounted_from_secrets() -> None:
    """Every file is mounted read-only, for the service's group only, at the path in the config."""
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


def test_names_that_look_like_numbers_are_strings() -> None:
    """A Secret with the name 123 is referenced by a string, which Kubernetes requires."""
    values = MINIMAL | {"secretEnv": MINIMAL["secretEnv"] | {"A": {"name": "123", "key": "1e3"}}}
    assert container(values)["env"][1]["valueFrom"]["secretKeyRef"] == {"name": "123", "key": "1e3"}
    kubernetes_validate.validate(render(values)["Deployment"], KUBERNETES[-1], strict=True)


@each_good
def test_only_a_limited_tmp_is_writable(values: Values) -> None:
    """Every mount except /tmp is read-only, and /tmp has a size limit."""
    writable = [mount for mount in container(values)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [{"name": "tmp", "mountPath": "/tmp"}]
    (volume,) = (volume for volume in pod(values)["volumes"] if volume["name"] == "tmp")
    assert volume["emptyDir"]["sizeLimit"]

"""The path of the chart, values that it must render, and values that its schema must refuse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Values = dict[str, Any]

TOP = Path(__file__).parents[2]
CHART = TOP / "helm" / "otp-service"

CONFIG = """\
[redis]
url = "env:OTP_REDIS_URL"
[keys]
current = "k1"
k1 = "env:OTP_KEY_K1"
[tokens]
current = "t1"
t1 = "file:/run/secrets/otp_token_t1.pem"
"""
MINIMAL: Values = {
    "config": CONFIG,
    "secretEnv": {
        "OTP_REDIS_URL": {"name": "otp-redis", "key": "url"},
        "OTP_KEY_K1": {"name": "otp-keys", "key": "k1"},
    },
    "secretFiles": {"otp_token_t1.pem": {"name": "otp-token", "key": "t1.pem"}},
}
FULL: Values = MINIMAL | {
    "global": {"shared": "by a parent chart"},
    "fullnameOverride": "otp",
    "image": {"repository": "registry.example:5000/team/otp-service", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": ["pull"],
    "replicas": 3,
    "cpus": 8,
    "resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "autoscaling": {
        "enabled": True,
        "minReplicas": 3,
        "maxReplicas": 20,
        "targetCPUUtilizationPercentage": 60,
    },
    "service": {"type": "LoadBalancer", "port": 80, "annotations": {"example.com/internal": "true"}},
    "serviceAccount": {"create": False, "name": "otp"},
    "preStopSleepSeconds": 10,
    "terminationGracePeriodSeconds": 60,
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 6379, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "podAnnotations": {"example.com/note": "yes"},
    "podLabels": {"team": "identity"},
    "priorityClassName": "high",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpread": {"whenUnsatisfiable": "DoNotSchedule"},
}
GOOD: dict[str, Values] = {
    "minimal": MINIMAL,
    "full": FULL,
    "one replica": MINIMAL | {"replicas": 1},
    "autoscaling": MINIMAL | {"autoscaling": {"enabled": True}},
    "network policy": MINIMAL | {"networkPolicy": {"enabled": True}},
    "service monitor": MINIMAL | {"serviceMonitor": {"enabled": True}},
}


@dataclass(frozen=True)
class Bad:
    """Values that the schema refuses, and the path that its message must name."""

    changes: Values
    names: str


BAD: dict[str, Bad] = {
    "unknown key": Bad({"replica": 2}, "replica"),
    "unknown nested key": Bad({"image": {"name": "x"}}, "/image"),
    "no config": Bad({"config": None}, "config"),
    "empty config": Bad({"config": " \n"}, "/config"),
    "config as a tree": Bad({"config": {"server": {}}}, "/config"),
    "no replicas": Bad({"replicas": 0}, "/replicas"),
    "replicas as text": Bad({"replicas": "2"}, "/replicas"),
    "replicas as a fraction": Bad({"replicas": 1.5}, "/replicas"),
    "tag latest": Bad({"image": {"tag": "latest"}}, "/image/tag"),
    "tag inside the repository": Bad({"image": {"repository": "otp-service:1"}}, "/image/repository"),
    "short digest": Bad({"image": {"digest": "sha256:00"}}, "/image/digest"),
    "pull policy": Bad({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    "a secret in clear": Bad({"secretEnv": {"OTP_KEY_K1": "c2VjcmV0"}}, "/secretEnv/OTP_KEY_K1"),
    "a secret's value": Bad(
        {"secretEnv": {"OTP_KEY_K1": {"name": "otp-keys", "key": "k1", "value": "c2VjcmV0"}}},
        "/secretEnv/OTP_KEY_K1",
    ),
    "a secret without key": Bad({"secretEnv": {"OTP_KEY_K1": {"name": "otp-keys"}}}, "/secretEnv/OTP_KEY_K1"),
    "a secret's name": Bad({"secretEnv": {"A": {"name": "Otp_Keys", "key": "k1"}}}, "/secretEnv/A/name"),
    "a variable's name": Bad({"secretEnv": {"OTP-KEY": {"name": "otp-keys", "key": "k1"}}}, "/secretEnv"),
    "a file outside": Bad({"secretFiles": {"../etc/passwd": {"name": "a", "key": "b"}}}, "/secretFiles"),
    "no CPU": Bad({"cpus": 0}, "/cpus"),
    "no memory request": Bad({"resources": {"requests": {"memory": None}}}, "/resources/requests"),
    "memory in no unit": Bad({"resources": {"limits": {"memory": "256 MB"}}}, "/resources/limits/memory"),
    "port": Bad({"service": {"port": 70000}}, "/service/port"),
    "service type": Bad({"service": {"type": "ExternalName"}}, "/service/type"),
    "annotation as a truth": Bad({"podAnnotations": {"a": True}}, "/podAnnotations/a"),
    "the checksum's annotation": Bad({"podAnnotations": {"checksum/config": "0"}}, "/podAnnotations"),
    "a label of the selector": Bad({"podLabels": {"app.kubernetes.io/name": "x"}}, "/podLabels"),
    "interval": Bad({"serviceMonitor": {"interval": "30"}}, "/serviceMonitor/interval"),
    "a name that begins with a digit": Bad({"fullnameOverride": "1otp"}, "/fullnameOverride"),
    "spread": Bad({"topologySpread": {"whenUnsatisfiable": "Never"}}, "/topologySpread/whenUnsatisfiable"),
}


def merged(defaults: Values, changes: Values) -> Values:
    """Merge values as helm does: maps are merged recursively, and null removes a key."""
    result = dict(defaults)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result

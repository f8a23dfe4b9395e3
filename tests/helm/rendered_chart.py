"""The chart as helm renders it. Without helm on PATH or in HELM_BIN, the tests that import this are skipped."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from tests.helm.chart_value_cases import CHART, GOOD, Values

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
    """Run helm on the chart with these values."""
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
    """Render the chart once for several tests."""
    run = helm("template", "--kube-version", kubernetes, values=json.loads(values))
    assert run.returncode == 0, run.stderr
    return tuple(yaml.safe_load_all(run.stdout))


def render(values: Values, kubernetes: str = KUBERNETES[-1]) -> dict[str, Manifest]:
    """Return the objects of an install by kind; the chart has at most one of each."""
    objects = rendered(json.dumps(values), kubernetes)
    by_kind = {str(one["kind"]): one for one in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def refusal(values: Values) -> str:
    """Return the message of helm for values that it refuses."""
    run = helm("template", "--kube-version", KUBERNETES[-1], values=values)
    assert run.returncode != 0
    assert not run.stdout
    return run.stderr


def pod(values: Values, kubernetes: str = KUBERNETES[-1]) -> Manifest:
    """Return the pod specification of the Deployment."""
    spec = render(values, kubernetes)["Deployment"]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(values: Values, kubernetes: str = KUBERNETES[-1]) -> Manifest:
    """Return the only container of the pod."""
    (only,) = pod(values, kubernetes)["containers"]
    assert isinstance(only, dict)
    return only


each_good = pytest.mark.parametrize("values", GOOD.values(), ids=GOOD.keys())

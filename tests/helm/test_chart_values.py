"""The files of the chart, read without helm: version, defaults and the schema of the values."""

from __future__ import annotations

import json
import re
import tomllib

import jsonschema_rs
import pytest
import yaml

import otp_service
from tests.helm.chart_value_cases import BAD, CHART, CONFIG, FULL, GOOD, MINIMAL, TOP, Bad, Values, merged

DEFAULTS: Values = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Values = json.loads((CHART / "values.schema.json").read_text())


def places(values: Values) -> list[str]:
    """Return the paths of schema errors for these values, merged with the defaults as helm does."""
    validator = jsonschema_rs.validator_for(SCHEMA)
    errors = validator.iter_errors(merged(DEFAULTS, values))
    return ["/" + "/".join(str(part) for part in error.instance_path) + " " + error.message for error in errors]


def test_chart_and_service_have_one_version() -> None:
    """The chart, its default image tag and the package have the same version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert chart["apiVersion"] == "v2"
    assert chart["name"] == project["name"]
    assert chart["version"] == chart["appVersion"] == project["version"] == otp_service.__version__


def test_schema_is_a_well_formed_draft_7_schema() -> None:
    """Every helm 3 can read the schema."""
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema_rs.Draft7Validator(SCHEMA)
    assert jsonschema_rs.meta.is_valid(SCHEMA)


def test_every_object_of_the_schema_is_closed() -> None:
    """No object of the schema allows unknown members, so a misspelled key is an error."""
    nodes = [SCHEMA]
    while nodes:
        node = nodes.pop()
        if any(node.get("properties", {}).values()):
            assert node["additionalProperties"] is False, node
        nodes += [child for child in node.values() if isinstance(child, dict)]


def test_schema_requires_exactly_the_keys_of_the_defaults() -> None:
    """A key is in values.yaml, in the schema and in a template, or in none of them."""
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values\.(\w+)", templates))
    assert set(DEFAULTS) == set(SCHEMA["required"]) == set(SCHEMA["properties"]) - {"global"} == used


def test_full_values_set_every_key() -> None:
    """The full values set every top-level key, so that the rendering tests cover all of them."""
    assert set(FULL) == set(SCHEMA["properties"])


def test_defaults_lack_only_the_config() -> None:
    """An install without values is refused only because of the missing config."""
    (error,) = places({})
    assert error.startswith("/config ")


@pytest.mark.parametrize("values", GOOD.values(), ids=GOOD.keys())
def test_good_values_are_accepted(values: Values) -> None:
    """The schema accepts every set of values that the rendering tests use."""
    assert places(values) == []


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_values_are_refused(bad: Bad) -> None:
    """The schema refuses each invalid value with one error at the right path."""
    errors = places(MINIMAL | bad.changes)
    assert len(errors) == 1
    assert bad.names in errors[0]


def test_the_chart_contains_no_secret() -> None:
    """No template creates a Secret, and no default names or contains one."""
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    assert not re.search(r"kind:\s*Secret\b|stringData", templates)
    assert DEFAULTS["config"] == ""
    assert DEFAULTS["secretEnv"] == DEFAULTS["secretFiles"] == {}
    assert DEFAULTS["imagePullSecrets"] == []


def test_the_default_image_names_no_registry() -> None:
    """Each install chooses the registry of the image."""
    assert DEFAULTS["image"]["repository"] == "otp-service"


def test_default_memory_fits_eight_hashes() -> None:
    """The default memory is enough for the process and twice the hashes that the default CPUs run at once."""
    hash_mib = 12288 / 1024
    assert DEFAULTS["cpus"] == 4
    limit = DEFAULTS["resources"]["limits"]["memory"]
    assert limit == DEFAULTS["resources"]["requests"]["memory"]
    assert float(limit.removesuffix("Mi")) >= 100 + 8 * hash_mib
    assert "cpu" not in DEFAULTS["resources"]["limits"]


def test_the_config_of_the_cases_is_valid_toml() -> None:
    """The config that the tests install can be parsed."""
    assert tomllib.loads(CONFIG)["redis"]["url"] == "env:OTP_REDIS_URL"

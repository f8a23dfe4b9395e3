"""The JSON Schema of the configuration accepts what loads, and refuses what it can know to be an error."""

from __future__ import annotations

import datetime
import json
import re
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from otp_service.cli import main
from otp_service.sandbox.config_writer import write_config
from otp_service.sandbox.sandbox_config import sandbox_config, sandbox_gateways
from otp_service.settings import build_json_schema, load
from tests.helm.chart_value_cases import CONFIG
from tests.settings.complete_config import edited_config
from tests.settings.config_error_cases import ONE_ERROR

ROOT = Path(__file__).parents[2]
MISSING = re.compile(r"is a required property|has less than \d+ properties")
CHART_VALUES = ROOT / "helm" / "otp-service" / "values.yaml"

ONLY_CHECK_CONFIG = {
    "tenants.acme.camara.purpose",
    "tenants.acme.hooks.courier.secret",
    "tenants.acme.hooks.courier.previous_secret",
    "tenants.acme.hooks.courier.purpose",
    "tenants.acme.hooks.courier.purposes.a",
    "tenants.acme.hooks.courier.client_ip",
    "tenants.acme.hooks.courier.token_attribute",
    "tenants.acme.hooks.courier.purposes",
    "tenants.acme.hooks.courier.receiver_attribute",
    "tenants.acme.hooks.courier.text",
    "tenants.b.hooks.auth",
    "guard.address",
    "guard.operator_tenants[1]",
    "guard.relayed_sequence",
    "guard.sequence",
    "hashing.memory_kib",
    "keys.current",
    "keys.index",
    "keys.k2",
    "limits.recipient[1]",
    "limits.recipient_failures",
    "opt_outs.start_words[0]",
    "opt_outs.stop_words[0]",
    "providers.aurora.template_id",
    "providers.aurora.variables",
    "providers.aurora.variables.a",
    "providers.jakarta.base_url",
    "providers.keda.encryption_key",
    "providers.own.accepted_when",
    "providers.own.body",
    "providers.own.headers.X-A",
    "providers.own.headers.X-Api-Key",
    "providers.own.url",
    "providers.smsc.ca_file",
    "providers.smsc.from",
    "providers.smsc.system_id",
    "providers.smtp.password",
    "providers.smtp.tls",
    "providers.smtp.username",
    "providers.twilio.account_sid",
    "providers.whatsapp.app_secret",
    "providers.whatsapp.phone_number_id",
    "providers.whatsapp.templates.default",
    "providers.twilio.api_key_secret",
    "providers.twilio.api_key_sid",
    "providers.vonage.from",
    "providers.twilio.auth_token",
    "providers.twilio.from",
    "providers.twilio.messaging_service_sid",
    "providers.vonage.signature_secret",
    "redis.url",
    "routes[0].providers[1].weight",
    "routes[1].providers[0]",
    "routes[1].providers[2]",
    "routes[2]",
    "routes[2].country",
    "server.trusted_proxies[0]",
    "tenants.acme.api_keys[0].allowed_origins",
    "tenants.acme.api_keys[0].countries[0]",
    "tenants.acme.api_keys[0].expires_at",
    "tenants.acme.api_keys[0].purposes[0]",
    "tenants.acme.api_keys[0].scopes[0]",
    "tenants.acme.api_keys[0].scopes[1]",
    "tenants.acme.api_keys[1].id",
    "tenants.acme.api_keys[1].sha256",
    "tenants.acme.apps.web.domain",
    "tenants.acme.apps.web.hash",
    "tenants.acme.policy.channels[1]",
    "tenants.acme.policy.code_length",
    "tenants.acme.templates.en.login",
    "tenants.acme.templates.id.default",
    "tenants.acme.templates.id.login",
    "tenants.acme.templates.id.other",
    "tenants.acme.templates.id.transaction",
    "tenants.other.api_keys[0].sha256",
    "tokens.current",
    "tokens.t2",
}
"""The paths of errors that depend on other values, on secrets, or on more than a pattern."""


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Validator:
    """Validate documents against the schema, which is itself valid."""
    schema = build_json_schema()
    jsonschema_rs.meta.validate(schema)
    return jsonschema_rs.validator_for(schema)


def errors(validator: jsonschema_rs.Validator, document: Any) -> list[str]:
    """Return what is wrong with a document."""
    return [error.message for error in validator.iter_errors(document)]


def toml_blocks(markdown: str) -> list[str]:
    """Return the TOML examples of a page, also those in lists."""
    blocks = re.findall(r"^ *```toml\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


def test_the_command_prints_the_schema() -> None:
    """`config-schema` prints it as JSON, of the dialect that it names."""
    result = CliRunner().invoke(main, ["config-schema"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed == build_json_schema()
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_config_with_every_provider_type_is_valid(validator: jsonschema_rs.Validator) -> None:
    """What `check-config` accepts, the schema accepts."""
    assert errors(validator, edited_config()) == []


def test_the_examples_of_the_readme_are_valid(validator: jsonschema_rs.Validator) -> None:
    """The whole config, with a hash in the place of `<from new-key>`; the other blocks only leave keys out."""
    blocks = toml_blocks((ROOT / "README.md").read_text().replace("<from new-key>", "a" * 64))
    [whole] = [block for block in blocks if "[redis]" in block]
    parts = [block for block in blocks if block != whole]
    assert errors(validator, tomllib.loads(whole)) == []
    assert len(parts) > 5
    for part in parts:
        assert [error for error in errors(validator, tomllib.loads(part)) if not MISSING.search(error)] == []


def test_the_examples_of_the_chart_are_valid(validator: jsonschema_rs.Validator) -> None:
    """That of its tests, and the comment in its values: they only leave keys out."""
    comment = re.search(r'^config: ""\n((?:#  .*\n)+)', CHART_VALUES.read_text(), re.MULTILINE)
    assert comment
    for example in (CONFIG, re.sub(r"^#  ", "", comment[1], flags=re.MULTILINE)):
        document = tomllib.loads(example)
        assert {"redis", "tokens"} <= set(document)
        assert all(MISSING.search(error) for error in errors(validator, document))


def test_the_config_of_the_sandbox_is_valid(validator: jsonschema_rs.Validator, tmp_path: Path) -> None:
    """As the sandbox writes it, with its secrets in files."""
    gateways, _ = sandbox_gateways()
    unbound = sandbox_config("redis://127.0.0.1:6379/0", gateways)
    ports = json.dumps(unbound).replace("127.0.0.1:0", "127.0.0.1:20003").replace('"port": 0', '"port": 20012')
    document = json.loads(ports)
    write_config(tmp_path / "otp.toml", document, load(document, {}, plain_secrets=True), "The sandbox.")
    assert errors(validator, tomllib.loads((tmp_path / "otp.toml").read_text())) == []


def test_errors_are_refused_by_the_schema_too(validator: jsonschema_rs.Validator) -> None:
    """Unknown keys, types, bounds, enums and plain secrets are; cross-checks and secrets need `check-config`."""
    cases = [case for case in ONE_ERROR if not isinstance(case[0][1], datetime.date)]  # JSON has no dates
    accepted = {path for one, path, _ in cases if validator.is_valid(edited_config(one))}
    assert accepted == ONLY_CHECK_CONFIG


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("server.prot", 80), "server.prot"),
        (("server.port", "80"), "server.port"),
        (("server.port", 65536), "server.port"),
        (("providers.jakarta.variant", "v3"), "providers.jakarta.variant"),
        (("providers.jakarta.api_key", "env:PASSWORD"), "providers.jakarta.api_key"),
        (("providers.keda.api_key", "plain"), "providers.keda.api_key"),
    ],
)
def test_bad_keys_types_and_bounds(
    validator: jsonschema_rs.Validator,
    find_errors: Callable[..., tuple[Any, ...]],
    change: tuple[str, Any],
    path: str,
) -> None:
    """Both refuse a key of another provider type, a wrong type, a value out of bounds and a plain secret."""
    assert not validator.is_valid(edited_config(change))
    assert [error.path for error in find_errors(change)] == [path]


def test_secrets_are_references(validator: jsonschema_rs.Validator) -> None:
    """The schema describes them so, and contains no value of one."""
    password = build_json_schema()["$defs"]["providers.eims"]["properties"]["password"]
    assert password["description"] == "env:NAME or file:/path"
    assert validator.is_valid(edited_config(("providers.jakarta.password", "file:/run/secrets/password")))


def test_defaults_are_those_of_the_model() -> None:
    """A table of defaults only, as the schema states them, loads as if nothing were written."""
    definitions = build_json_schema()["$defs"]
    assert definitions["Server"]["properties"]["port"]["default"] == 8000
    assert definitions["Policy"]["properties"]["ttl_seconds"] == {
        "type": "integer",
        "minimum": 10,
        "maximum": 600,
        "default": 300,
    }
    assert definitions["Limits"]["properties"]["recipient"]["default"] == ["5/3600", "10/86400"]
    assert definitions["providers.smshub"]["properties"]["max_per_second"]["default"] == 1.0

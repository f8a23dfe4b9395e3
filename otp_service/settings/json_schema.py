"""The JSON Schema (2020-12) of the configuration, generated from the declarations that `load` reads along.

Editors complete and check TOML with it. It describes tables, types, bounds and defaults; cross-checks, and whether a
secret can be read, are left to `check-config`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from otp_service.domain.limits import Window
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.providers.config_fields import COUNTRIES_REF, CommonProvider, Table
from otp_service.providers.config_parsing import InvalidValue
from otp_service.providers.registry import TYPE_KEY, config_struct, provider_types
from otp_service.settings.declaration import Declaration
from otp_service.settings.model import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_json_schema() -> dict[str, Any]:
    """Return the schema, with the provider types of installed packages."""
    definitions: dict[str, Any] = {COUNTRIES_REF.rpartition("/")[2]: {"enum": sorted(SUPPORTED_COUNTRIES)}}
    root = _type_schema(Declaration.of(Settings), definitions)
    return {"$schema": DIALECT, "title": "otp-service configuration", **root, "$defs": definitions}


def _type_schema(declaration: Declaration, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _base_schema(declaration, definitions)
    if declaration.description:
        schema["description"] = declaration.description
    return schema


def _base_schema(declaration: Declaration, definitions: dict[str, Any]) -> dict[str, Any]:
    base, origin, arguments = declaration.base, get_origin(declaration.base), get_args(declaration.base)
    if declaration.parse is not None and declaration.parse.schema:
        if declaration.is_struct:
            _reference(base, definitions)
        return dict(declaration.parse.schema)
    if base is CommonProvider:
        return _provider_schema(definitions)
    if declaration.is_struct:
        return _reference(base, definitions)
    if origin is Mapping:
        key, value = (_type_schema(Declaration.of(argument), definitions) for argument in arguments)
        names = {} if key == {"type": "string"} else {"propertyNames": key}
        return {"type": "object", "additionalProperties": value, **names, **_size(declaration, "Properties")}
    if origin is tuple:
        items = _type_schema(Declaration.of(arguments[0]), definitions)
        return {"type": "array", "items": items, **_size(declaration, "Items")}
    schema = msgspec.json.schema(declaration.with_bounds(base))
    if "pattern" in schema:  # Python's anchors are not part of the regular expressions of JSON Schema
        schema["pattern"] = schema["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    return schema


def _size(declaration: Declaration, items: str) -> dict[str, int]:
    sizes = {}
    for meta in declaration.bounds:
        if meta.min_length is not None:
            sizes[f"min{items}"] = meta.min_length
        if meta.max_length is not None:
            sizes[f"max{items}"] = meta.max_length
    return sizes


def _reference(struct: type[Table], definitions: dict[str, Any], name: str = "") -> dict[str, Any]:
    name = name or struct.__name__
    if name not in definitions:
        definitions[name] = {}  # reserves the name, so that it comes before those of its fields
        definitions[name] = _struct_schema(struct, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _struct_schema(struct: type[Table], definitions: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "description": _description(struct), "properties": {}}
    schema |= {"required": [], "additionalProperties": False}
    if struct.__struct_config__.tag is not None:
        schema["properties"][TYPE_KEY] = {"const": struct.__struct_config__.tag}
        schema["required"].append(TYPE_KEY)
    for info in msgspec.structs.fields(struct):
        declaration = Declaration.of(info.type)
        value = _type_schema(declaration, definitions)
        if declaration.takes_other_keys:
            schema |= {name: value[name] for name in ("additionalProperties", "propertyNames") if name in value}
            schema["minProperties"] = len(schema["required"]) + value.get("minProperties", 0)
            continue
        if info.required:
            schema["required"].append(info.encode_name)
        default = _default(info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory())
        schema["properties"][info.encode_name] = value if default is None else {**value, "default": default}
    return schema


def _description(struct: type[Table]) -> str:
    """Return the docstring, with one line for each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(struct) or "").split("\n\n"))


def _provider_schema(definitions: dict[str, Any]) -> dict[str, Any]:
    """Describe one table of `[providers.*]`: its `type` selects the variant. Broken packages are left out."""
    variants = []
    for name in provider_types():
        with contextlib.suppress(InvalidValue):
            if struct := config_struct(name):
                variants.append(_reference(struct, definitions, f"providers.{name}"))
    return {"type": "object", "required": [TYPE_KEY], "oneOf": variants}


def _default(value: Any) -> Any:
    """Return a default as TOML has it; None if the schema does not state it."""
    match value:
        case bool() | int() | float():
            return value
        case str() if value:
            return value
        case Window():
            return f"{value.count}/{value.seconds}"
        case tuple():
            return [_default(item) for item in value]
        case Mapping() if value:
            return dict(value)
    return None

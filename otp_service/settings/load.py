"""Loading: from a TOML file or a mapping to `Settings`, or to every error at once.

msgspec stops at the first error of a document, so each field is converted by itself, strictly (text is not a number).
A value that is refused becomes `Invalid` in the tree, which is then never returned.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, Final, NoReturn, get_args, get_origin

import msgspec

from otp_service.providers.config_fields import CommonProvider, Table
from otp_service.providers.config_parsing import (
    FieldContext,
    InvalidValue,
    Path,
    decode_utf8,
    dotted_path,
    invalid,
    quoted,
    shown,
)
from otp_service.providers.registry import TYPE_KEY, config_struct, provider_types
from otp_service.settings.api_key_model import ApiKey
from otp_service.settings.checked_values import Invalid, InvalidUsed
from otp_service.settings.cross_checks import CHECKS
from otp_service.settings.declaration import Declaration
from otp_service.settings.model import Settings, Tenant
from otp_service.settings.sms_texts import brand_of

_KINDS: Final[Mapping[Any, tuple[str, tuple[type, ...]]]] = {
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("text", (str,)),
    bool: ("true or false", (bool,)),
}


class ConfigError(msgspec.Struct, frozen=True):
    """One error in the configuration; `str()` is its line. It never shows a value that may be a secret."""

    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}; allowed: {self.allowed}"


class ConfigInvalid(Exception):
    """The configuration has errors; the message has a line for each."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


def load(source: str | Mapping[str, Any], environ: Mapping[str, str], *, plain_secrets: bool = False) -> Settings:
    """Load a configuration.

    Args:
        source: TOML, or a parsed document.
        environ: The variables that `env:NAME` refers to.
        plain_secrets: Whether secrets may be written in the document itself.

    Raises:
        ConfigInvalid: With every error.
    """
    reader = _Reader(environ, plain_secrets=plain_secrets)
    settings: Settings = reader.read(Settings, parse(source) if isinstance(source, str) else source, ())
    if reader.errors:
        raise ConfigInvalid(tuple(reader.errors))
    tenants = {name: _with_defaults(name, tenant) for name, tenant in settings.tenants.items()}
    return msgspec.structs.replace(settings, tenants=MappingProxyType(tenants))


def api_key_errors(entry: Mapping[str, Any]) -> tuple[ConfigError, ...]:
    """Return the errors of one entry of `api_keys`."""
    reader = _Reader({}, plain_secrets=False)
    reader.read(ApiKey, entry, ())
    return tuple(reader.errors)


def load_file(path: str | FilePath, environ: Mapping[str, str], *, plain_secrets: bool = False) -> Settings:
    """Load the file at `path`, as `load` does."""
    return load(parse_file(path), environ, plain_secrets=plain_secrets)


def parse(text: str, name: str = "config") -> dict[str, Any]:
    """Parse TOML; raise `ConfigInvalid` with `name` as the path if it is not TOML."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        _refuse(name, f"not TOML: {str(error).partition(chr(10))[0]}", "TOML 1.0")


def parse_file(path: str | FilePath) -> dict[str, Any]:
    """Parse the TOML file at `path`; raise `ConfigInvalid` if it cannot be read."""
    try:
        text = decode_utf8(FilePath(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _refuse(str(path), f"cannot be read: {reason}", "a readable file in UTF-8")
    return parse(text, str(path))


def _refuse(path: str, found: str, allowed: str) -> NoReturn:
    name = path if path.isprintable() else quoted(path)
    raise ConfigInvalid((ConfigError(name, found, allowed),)) from None


def _with_defaults(name: str, tenant: Tenant) -> Tenant:
    """Set the defaults that follow from other values."""
    own_country = () if tenant.country is None else (tenant.country,)
    keys = tuple(msgspec.structs.replace(key, scopes=key.scopes or key.default_scopes()) for key in tenant.api_keys)
    return msgspec.structs.replace(
        tenant, brand=brand_of(name, tenant), countries=tenant.countries or own_country, api_keys=keys
    )


class _Reader:
    """Reads one document. Its result is valid only if `errors` is empty at the end."""

    def __init__(self, environ: Mapping[str, str], *, plain_secrets: bool) -> None:
        self.errors: list[ConfigError] = []
        self._environ = environ
        self._plain_secrets = plain_secrets

    def read(self, field_type: Any, raw: Any, path: Path) -> Any:
        """Return `raw` as a value of `field_type`; report an error and return `Invalid` if it is not one."""
        declaration = Declaration.of(field_type)
        try:
            return self._convert(declaration, raw, path)
        except InvalidValue as error:
            return self._report(path, error.found, error.allowed or declaration.allowed)

    def _report(self, path: Path, found: str, allowed: str) -> Invalid:
        self.errors.append(ConfigError(dotted_path(path), found, allowed))
        return Invalid()

    def _convert(self, declaration: Declaration, raw: Any, path: Path) -> Any:
        if declaration.parse is not None:
            parsed = declaration.parse.function(raw, FieldContext(path, self._environ, self._plain_secrets))
            if parsed is not raw and not isinstance(parsed, str | Mapping):
                return parsed
            raw = parsed
        if declaration.base is CommonProvider:
            return self._provider(_container(declaration, dict, raw), path)
        if declaration.is_struct:
            return self._struct(declaration.base, _container(declaration, dict, raw), path)
        arguments = get_args(declaration.base)
        if get_origin(declaration.base) is Mapping:
            return self._mapping(arguments[0], arguments[1], _container(declaration, dict, raw), path)
        if get_origin(declaration.base) is tuple:
            items = enumerate(_container(declaration, list, raw))
            return tuple(self.read(arguments[0], item, (*path, index)) for index, item in items)
        return _scalar(declaration, raw)

    def _mapping(self, key: Any, value: Any, raw: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """Keep the names of invalid entries: other tables may refer to them."""
        for name in raw:
            self.read(key, name, (*path, name))
        return MappingProxyType({name: self.read(value, item, (*path, name)) for name, item in raw.items()})

    def _provider(self, raw: Mapping[str, Any], path: Path) -> Any:
        name, at, types = raw.get(TYPE_KEY), (*path, TYPE_KEY), " or ".join(map(quoted, provider_types()))
        try:
            struct = config_struct(name) if isinstance(name, str) else None
        except InvalidValue as error:
            return self._report(at, error.found, error.allowed or types)
        if struct is None:
            return self._report(at, f"{shown(name)} is not allowed" if TYPE_KEY in raw else "missing", types)
        return self._struct(struct, {key: value for key, value in raw.items() if key != TYPE_KEY}, path)

    def _struct(self, struct: type[Table], raw: Mapping[str, Any], path: Path) -> Table:
        fields = _fields_of(struct)
        others = next((name for name, info in fields.items() if Declaration.of(info.type).takes_other_keys), None)
        known = [name for name in fields if name != others]
        unknown = {name: value for name, value in raw.items() if name not in known}
        values: dict[str, Any] = {}
        for name in known:
            info, at = fields[name], (*path, name)
            if name in raw:
                values[info.name] = self.read(info.type, raw[name], at)
            elif info.required:
                values[info.name] = self._missing(Declaration.of(info.type), at)
        if others is not None:
            values[fields[others].name] = self.read(fields[others].type, unknown, path)
        else:
            self._report_unknown(unknown, known, path)
        table = struct(**values)
        for finding in _findings(table):
            self._report((*path, *finding[0]), *finding[1:])
        return table

    def _missing(self, declaration: Declaration, path: Path) -> Any:
        """Report a missing value; of a missing table, its missing values."""
        if declaration.is_struct:
            return self._struct(declaration.base, {}, path)
        return self._report(path, "missing", declaration.allowed)

    def _report_unknown(self, unknown: Mapping[str, Any], known: list[str], path: Path) -> None:
        for name in unknown:
            near = get_close_matches(name, known, n=1) or [other for other in known if other.startswith(name)]
            hint = f", did you mean {quoted(near[0])}?" if near else ""
            self._report((*path, name), f"unknown key{hint}", ", ".join(known))


@functools.cache
def _fields_of(struct: type[Table]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """Return the keys of a table with their types."""
    return {info.encode_name: info for info in msgspec.structs.fields(struct)}


def _findings(table: Table) -> Iterator[tuple[Path, str, str]]:
    """Yield what the cross-checks of a table find; each ends at its first use of an invalid value."""
    for check in (type(table).cross_check, *CHECKS.get(type(table), ())):
        try:
            yield from check(table)
        except InvalidUsed:
            continue


def _container(declaration: Declaration, kind: type, raw: Any) -> Any:
    """Validate the type and the number of items of a table (`dict`) or a list; the items are read one by one."""
    if not isinstance(raw, Mapping if kind is dict else list | tuple):
        found = "text" if isinstance(raw, str) else shown(raw)  # not the text itself: a table may be one of secrets
        raise InvalidValue(f"{found} is not a {'table' if kind is dict else 'list'}")
    try:
        msgspec.convert(raw, declaration.with_bounds(kind), strict=True)
    except msgspec.ValidationError:
        raise invalid(raw) from None
    return raw


def _scalar(declaration: Declaration, raw: Any) -> Any:
    try:
        return msgspec.convert(raw, declaration.with_bounds(declaration.base), strict=True)
    except msgspec.ValidationError:
        kind, types = _KINDS.get(declaration.base, ("", ()))
        is_kind = isinstance(raw, types) and isinstance(raw, bool) is (declaration.base is bool)
        raise InvalidValue(f"{shown(raw)} is not {'allowed' if not kind or is_kind else kind}") from None

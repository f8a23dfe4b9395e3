"""The walk through a raw document, along the structs that say what it should be.

msgspec stops at the first mistake; whoever writes a config wants all of them. So the walker goes through the fields
itself, has each value converted on its own (strictly: text is no number), keeps what is wrong and goes on. Then the
cross-checks of a struct judge what stands in it together.

What could not be read is `Broken` in the tree: it has been reported, so a check that comes upon it is given up, and
no mistake is reported twice or follows from another one. A tree with mistakes is never handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, NoReturn, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from otp_service.settings.forms import HIDDEN, REST, Before, Form, OneOf, Read, form_of, is_struct
from otp_service.settings.mistakes import Finding, Mistake, NotAllowed, Path, dotted, quoted, shown

__all__ = ["Check", "Walker", "is_sound"]

Check = Callable[[Any], Iterator[Finding]]

_WORDS: Final[Mapping[Any, tuple[str, tuple[type, ...]]]] = {
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("text", (str,)),
    bool: ("true or false", (bool,)),
}


class _Reported(Exception):
    """A check touched what is broken already."""


class Broken:
    """In the place of a value that was refused; any use of it ends the check that uses it."""

    def _used(self, *_: object) -> NoReturn:
        raise _Reported

    __getattr__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _used
    __hash__ = __iter__ = __len__ = __bool__ = __getitem__ = _used
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = _used


def is_sound(*values: object) -> bool:
    """Tell whether none of these was refused: for a check that must go on past a broken item."""
    return not any(isinstance(value, Broken) for value in values)


class Walker:
    """One reading of one document. `mistakes` grows; a value is good only when it is empty at the end."""

    def __init__(self, checks: Mapping[type, tuple[Check, ...]], context: object = None) -> None:
        """Judge structs by `checks` (those of their bases too); readers get `context`."""
        self.mistakes: list[Mistake] = []
        self._checks = checks
        self._context = context

    def value(self, kind: Any, raw: Any, path: Path) -> Any:
        """Turn `raw` into `kind`, or report why not and give `Broken`."""
        form = form_of(kind)
        try:
            return self._turned(form, raw, path)
        except NotAllowed as refusal:
            self._report(path, refusal.found, refusal.allowed or form.allowed)
            return Broken()

    def _report(self, path: Path, found: str, allowed: str) -> None:
        self.mistakes.append(Mistake(dotted(path), found, allowed))

    def _turned(self, form: Form, raw: Any, path: Path) -> Any:
        if before := form.mark(Before):
            raw = before.change(raw)
        if read := form.mark(Read):
            return read.value(raw, path, self._context)
        if choice := form.mark(OneOf):
            return self._chosen(choice, _table(raw), path)
        if is_struct(form.base):
            return self._struct(form.base, _table(raw), path)
        return self._container(form, raw, path)

    def _container(self, form: Form, raw: Any, path: Path) -> Any:
        origin, arms = get_origin(form.base), get_args(form.base)
        if origin is Mapping:
            return self._mapping(arms, _sized(form, dict[str, Any], _table(raw)), path)
        if origin is tuple:
            items = _sized(form, list[Any], _list(raw))
            return tuple(self.value(arms[0], item, (*path, place)) for place, item in enumerate(items))
        return _leaf(form, raw)

    def _mapping(self, arms: tuple[Any, ...], raw: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """Keep the name of an entry whose value is broken: others may refer to it."""
        for name in raw:
            self.value(arms[0], name, (*path, name))
        return MappingProxyType({name: self.value(arms[1], item, (*path, name)) for name, item in raw.items()})

    def _chosen(self, choice: OneOf, raw: Mapping[str, Any], path: Path) -> Any:
        tag = raw.get(choice.key)
        try:
            struct = choice.struct(tag) if isinstance(tag, str) else None
        except NotAllowed as refusal:
            self._report((*path, choice.key), refusal.found, refusal.allowed or _listed(choice))
            return Broken()
        if struct is not None:
            return self._struct(struct, {name: item for name, item in raw.items() if name != choice.key}, path)
        found = f"{shown(tag)} is not allowed" if choice.key in raw else "missing"
        self._report((*path, choice.key), found, _listed(choice))
        return Broken()

    def _struct(self, cls: type[msgspec.Struct], raw: Mapping[str, Any], path: Path) -> msgspec.Struct:
        known = {info.encode_name: info for info in msgspec.structs.fields(cls)}
        rest = next((info for info in known.values() if form_of(info.type).has(REST)), None)
        if rest:
            del known[rest.encode_name]
        values = {info.name: self._field(info, raw, path) for info in known.values() if _stands(info, raw)}
        strangers = {name: item for name, item in raw.items() if name not in known}
        if rest:
            values[rest.name] = self.value(rest.type, strangers, path)
        else:
            self._unknown(strangers, known, path)
        made = cls(**values)
        self._judge(made, path)
        return made

    def _field(self, info: FieldInfo, raw: Mapping[str, Any], path: Path) -> Any:
        path, form = (*path, info.encode_name), form_of(info.type)
        if info.encode_name in raw:
            return self.value(info.type, raw[info.encode_name], path)
        if is_struct(form.base):
            return self.value(info.type, {}, path)  # says what is missing in it
        self._report(path, "missing", form.allowed)
        return Broken()

    def _unknown(self, strangers: Mapping[str, Any], known: Mapping[str, Any], path: Path) -> None:
        for name in strangers:
            near = get_close_matches(name, known, n=1) or [other for other in known if other.startswith(name)]
            hint = f", did you mean {quoted(near[0])}?" if near else ""
            self._report((*path, name), f"unknown key{hint}", ", ".join(known))

    def _judge(self, made: msgspec.Struct, path: Path) -> None:
        for base in type(made).__mro__:
            for check in self._checks.get(base, ()):
                self._run(check, made, path)

    def _run(self, check: Check, made: msgspec.Struct, path: Path) -> None:
        try:
            for below, found, allowed in check(made):
                self._report((*path, *below), found, allowed)
        except _Reported:
            pass


def _listed(choice: OneOf) -> str:
    return " or ".join(map(quoted, choice.names()))


def _stands(info: FieldInfo, raw: Mapping[str, Any]) -> bool:
    """Whether the field needs a value: it is given one, or has no default."""
    return info.encode_name in raw or info.required


def _table(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise NotAllowed(f"{_unseen(raw)} is not a table")
    return dict(raw)


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list | tuple):
        raise NotAllowed(f"{_unseen(raw)} is not a list")
    return list(raw)


def _unseen(raw: Any) -> str:
    """Text in the place of a container is not shown: the container may be one of secrets."""
    return "text" if isinstance(raw, str) else shown(raw)


def _sized(form: Form, shallow: Any, raw: Any) -> Any:
    """Judge the length alone; the items come one by one."""
    try:
        msgspec.convert(raw, form.bounded(shallow), strict=True)
    except msgspec.ValidationError:
        raise NotAllowed(f"{shown(raw)} is not allowed") from None
    return raw


def _leaf(form: Form, raw: Any) -> Any:
    try:
        return msgspec.convert(raw, form.bounded(form.base), strict=True)
    except msgspec.ValidationError:
        text = "the value (not shown)" if form.has(HIDDEN) else shown(raw)
        raise NotAllowed(f"{text} is not {_expected(form.base, raw)}") from None


def _expected(base: Any, raw: Any) -> str:
    word, kinds = _WORDS.get(base, ("", ()))
    fits = isinstance(raw, kinds) and isinstance(raw, bool) is (base is bool)
    return "allowed" if not word or fits else word

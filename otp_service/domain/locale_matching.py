"""Which template a message gets: the best match of the requested locale among the tenant's and the built-in ones."""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.locale_lookup import matching_locales, normalize_locale
from otp_service.domain.templates import DEFAULT_PURPOSE, TRANSACTION_PURPOSE, Template, Templates
from otp_service.domain.transaction_texts import TRANSACTION_TEXTS

_FALLBACK_LANGUAGE: Final = "en"
_COUNTRY_LANGUAGE: Final[Mapping[str, str]] = MappingProxyType({"ID": "id"})

_MAX_LOCALE_CHARS: Final = 256
_MAX_TAGS: Final = 32
"""No browser or phone sends more of each; the rest is ignored."""


_BUILT_IN_FOR_TRANSACTIONS: Final[Templates] = MappingProxyType(
    {locale: {TRANSACTION_PURPOSE: text} for locale, text in TRANSACTION_TEXTS.items()}
)


def match_locale(templates: Templates, requested: str, purpose: str, *, for_transaction: bool = False) -> str:
    """Return the locale of the tenant's or the built-in templates that matches best; "" if none does.

    Args:
        templates: The templates of the tenant.
        requested: A BCP 47 tag (`zh-Hans-CN`, `ar-EG-u-nu-arab`), a POSIX or Java locale (`en_US.UTF-8`, `in_ID`), or
            the Accept-Language of a browser (`en-US,en;q=0.9`), whose tags are tried in the order of their weights. A
            tag is shortened from its end until a template is found (RFC 4647, 3.4); then a template of its language
            matches, in the same script if there is one. For each tag the tenant's templates go before the built-in
            ones. Anything else matches nothing. Only the first 256 characters and 32 tags are used.
        purpose: The purpose that the template is for.
        for_transaction: Whether the request has a transaction.
    """
    own = _by_locale(templates)
    found = (locale for tag in _tags(requested) for locale, _ in _matches(tag, own, purpose, for_transaction))
    return next(found, "")


def choose_template(
    templates: Templates, locale: str | None, country: str, purpose: str, *, for_transaction: bool = False
) -> Template:
    """Return the template of a message.

    Tries the locales that `match_locale` would try, then the language of the number's country, then English. For each,
    the tenant's `templates` go before the built-in ones, and a template for the purpose goes before `default`. Locales
    are compared without case, and `_` equals `-`. `for_transaction`: the request has a transaction, so only templates
    that name it are considered, and one for `transaction` takes the place of `default`.
    """
    own = _by_locale(templates)
    for tag in (*_tags(locale or ""), country_language(country), _FALLBACK_LANGUAGE):
        for _, template in _matches(tag, own, purpose, for_transaction):
            return template
    raise LookupError("the built-in English template is missing")  # pragma: no cover - they ship with the package


def country_language(country: str) -> str:
    """Return the language of a country's recipients, if the request names none."""
    return _COUNTRY_LANGUAGE.get(country, _FALLBACK_LANGUAGE)


def _matches(tag: str, own: Templates, purpose: str, for_transaction: bool) -> Iterator[tuple[str, Template]]:
    """Yield the templates that a tag matches, with their locales, the best first."""
    purposes = (purpose, TRANSACTION_PURPOSE if for_transaction else DEFAULT_PURPOSE)
    for same_script in (True, False):
        for templates in (own, _BUILT_IN_FOR_TRANSACTIONS if for_transaction else BUILT_IN):
            for locale in matching_locales(tag, templates, same_script=same_script):
                found = (templates[locale].get(name) for name in purposes)
                if template := next((one for one in found if one and one.has_transaction >= for_transaction), None):
                    yield locale, template


def _by_locale(templates: Templates) -> Templates:
    return {normalize_locale(locale): texts for locale, texts in templates.items()}


def _tags(requested: str) -> list[str]:
    """Return the tags of an Accept-Language list (RFC 9110, 12.5.4), the highest weight first."""
    weighted = []
    for item in requested[:_MAX_LOCALE_CHARS].split(",")[:_MAX_TAGS]:
        tag, _, parameters = item.partition(";")
        if (weight := _weight(parameters)) > 0:
            weighted.append((-weight, tag))
    return [tag for _, tag in sorted(weighted, key=itemgetter(0))]


def _weight(parameters: str) -> float:
    """Return the weight of `q=0.9`; 1 for anything else."""
    name, _, value = parameters.partition(";")[0].partition("=")
    digits = value.strip()
    if name.strip().lower() != "q" or not digits.isascii() or not digits.replace(".", "", 1).isdecimal():
        return 1.0
    return float(digits)

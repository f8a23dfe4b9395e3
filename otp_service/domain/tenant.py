"""A tenant: a caller's account, and the rules for its requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otp_service.domain.apps import App
from otp_service.domain.captcha import CaptchaPolicy
from otp_service.domain.channel_route import AUTO
from otp_service.domain.code_binding import Transaction
from otp_service.domain.email_address import EmailAddress, EmailInvalid, parse_address
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.events import EventTarget
from otp_service.domain.integrations import CamaraRules
from otp_service.domain.limits import SendPolicy
from otp_service.domain.links import link_host
from otp_service.domain.locale_matching import choose_template
from otp_service.domain.message import Channel
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.domain.secret import MaskedStruct
from otp_service.domain.templates import Template, validity_minutes

__all__ = ["ALL_COUNTRIES", "Tenant", "TextContext"]

ALL_COUNTRIES = "*"
_BY_NAME: Final[Mapping[str, tuple[Channel, ...]]] = {channel.value: (channel,) for channel in Channel}


class TextContext(MaskedStruct, frozen=True):
    """What selects the template of a message to a number, and what is inserted besides the code.

    Attributes:
        country: The country of the number.
        locale: The locale that the caller asked for; "": the language of the number's country.
        purpose: What the code is for.
        channel: The channel of the message; a call has texts of its own.
        app: The app whose line ends an SMS; "" for none.
        link: The address in an SMS; "" for none.
        transaction: The transaction that an SMS names; None for none.
    """

    country: str
    locale: str
    purpose: str
    channel: Channel = Channel.SMS
    app: str = ""
    link: str = ""
    transaction: Transaction | None = None

    def __repr__(self) -> str:
        """Hide the address: it may carry a token."""
        return f"TextContext({self.purpose})"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller's account.

    `country` is the default for reading national numbers. `countries` is the allow-list of recipients' countries; `*`
    allows every country, but no satellite numbers. `templates` are by locale, then by purpose or `default`. `channels`
    is the allow-list of channels, and their order under `auto`. `apps` are by the name that a request gives.
    `link_hosts` is the allow-list of hosts for addresses in messages.
    `calls_fixed_lines`: a call with a code may go to a fixed line. `event_targets` get the events of its verifications.
    `camara`: how requests by CAMARA are handled; None: the tenant has none.
    `uniform_errors`: verify-code refuses every code in the same way, whatever the reason is.
    """

    name: str
    brand: str
    country: str
    countries: frozenset[str]
    purposes: frozenset[str]
    send_policy: SendPolicy
    code_length: int
    max_attempts: int
    templates: Mapping[str, Mapping[str, Template]]
    channels: tuple[Channel, ...] = (Channel.SMS,)
    apps: Mapping[str, App] = field(default_factory=dict)
    link_hosts: frozenset[str] = frozenset()
    calls_fixed_lines: bool = False
    uniform_errors: bool = False
    captcha: CaptchaPolicy | None = None
    event_targets: tuple[EventTarget, ...] = ()
    camara: CamaraRules | None = None
    _segments: dict[TextContext, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The results of `message_segments`: as many as there are countries, locales, purposes, channels and apps."""
    _templates_found: dict[tuple[str | None, str, str, bool], Template] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The results of `choose_template`, which takes 20 us: as many as there are countries, locales and purposes."""

    @property
    def text_hosts(self) -> frozenset[str]:
        """The hosts that a text of a caller may name: those of addresses, and those of the apps' last lines."""
        return self.link_hosts | {app.domain for app in self.apps.values() if app.domain}

    def channels_of(self, requested: str) -> tuple[Channel, ...]:
        """Return the channels of a message, in their order, for the `channel` of its request.

        An allow-list that has changed since the request does not matter. Empty for a channel of a later version.
        """
        if requested == AUTO:
            return tuple(channel for channel in self.channels if channel is not Channel.EMAIL)
        return _BY_NAME.get(requested, ())

    def check_channel(self, requested: str) -> None:
        """Raise `Refused` (`channel_not_allowed`) for a channel that the tenant does not have."""
        allowed = self.channels_of(AUTO) if requested == AUTO else self.channels
        if not allowed or (requested != AUTO and requested not in allowed):
            names = ", ".join(f"`{channel}`" for channel in self.channels)
            detail = f"`channel` must be one of the channels that are configured for the tenant: {names}."
            raise Refused(Reason.CHANNEL_NOT_ALLOWED, detail)

    def template_text(self, context: TextContext, *, code: str, minutes: int) -> str:
        """Return the text of the template; an SMS ends with the line of the app, unless that is "" or unknown."""
        text = self._template(context).render(self.brand, code, minutes, context.link, context.transaction)
        has_line = context.channel is Channel.SMS and context.app in self.apps
        return self.apps[context.app].add_line(text, code) if has_line else text

    def _template(self, context: TextContext) -> Template:
        wanted = context.locale or None, context.country, context.purpose
        key = (*wanted, context.transaction is not None)
        if (found := self._templates_found.get(key)) is None:
            found = self._templates_found[key] = choose_template(self.templates, *wanted, for_transaction=key[-1])
        return found

    def message_segments(self, context: TextContext) -> int:
        """Return how many segments a message will have. Every code of the tenant's length gives the same number."""
        is_common = not context.link and context.transaction is None  # those are secrets of one message
        if not is_common or (segments := self._segments.get(context)) is None:
            code, minutes = "0" * self.code_length, validity_minutes(self.send_policy.ttl_seconds)
            segments = context.channel.segments(self.template_text(context, code=code, minutes=minutes))
            if is_common:
                self._segments[context] = segments
        return segments

    def check_link(self, context: TextContext, channel: str) -> None:
        """Raise `Refused` unless the link ("" for none) leads to an allowed host, and the SMS contains it.

        `channel` is the requested one, also `auto`; `context` is for the SMS.
        """
        link = context.link
        if not link and (not self.link_hosts or channel not in (Channel.SMS, AUTO)):
            return  # no template contains an address
        if link and link_host(link) not in self.link_hosts:
            raise Refused(Reason.LINK_NOT_ALLOWED, "`link` must lead to one of the hosts that the tenant allows.")
        if self._template(context).has_link != bool(link):
            detail = "Leave `link` out: the message for this purpose and locale does not contain an address."
            if not link:
                detail = "Send `link` and the channel `sms`: the message for this purpose and locale has an address."
            raise _unfit_member("/link", detail)

    def check_transaction(self, transaction: Transaction | None, purpose: str) -> None:
        """Raise `Refused` (`request_malformed`) if there is none, and the SMS for the purpose names one."""
        if transaction is not None:
            return
        for templates in self.templates.values():
            if purpose in templates and templates[purpose].has_transaction:
                raise _unfit_member("/transaction", "Send this member: the message for this purpose names it.")

    def check_app(self, app: str) -> None:
        """Raise `Refused` (`request_malformed`) for an app that the tenant does not have."""
        if app not in self.apps:
            detail = "Send the name of an app that is configured for the tenant, or leave it out."
            error = FieldError("/app", detail)
            raise Refused(Reason.REQUEST_MALFORMED, "`app` names no app of the tenant.", field_errors=(error,))

    def parse_phone(self, phone: str, country: str | None) -> PhoneNumber:
        """Parse a phone number; national forms are read by `country`, or by the tenant's country if it is None.

        Raises:
            Refused: `phone_invalid`.
        """
        try:
            return parse(phone, country or self.country)
        except PhoneInvalid as invalid:
            raise Refused(Reason.PHONE_INVALID, str(invalid)) from None

    def parse_email(self, email: str) -> EmailAddress:
        """Parse an e-mail address; raises `Refused` (`email_invalid`)."""
        try:
            return parse_address(email)
        except EmailInvalid as invalid:
            raise Refused(Reason.EMAIL_INVALID, str(invalid)) from None

    def check_purpose(self, purpose: str) -> None:
        """Raise `Refused` (`purpose_not_allowed`) for a purpose that the tenant does not have."""
        if purpose not in self.purposes:
            detail = "`purpose` must be one of the purposes that are configured for the tenant."
            raise Refused(Reason.PURPOSE_NOT_ALLOWED, detail)

    def check_number(self, number: PhoneNumber, channel: str) -> None:
        """Raise `Refused` for a number that the channel does not reach, or whose country is not allowed."""
        is_called = channel == Channel.VOICE and self.calls_fixed_lines and number.type == "fixed_line"
        if not number.mobile and not is_called:
            raise Refused(Reason.PHONE_NOT_MOBILE, f"The number has the type `{number.type}`. Send a mobile number.")
        allowed = number.country in self.countries or (ALL_COUNTRIES in self.countries and number.country.isalpha())
        if not allowed:
            detail = "The number must belong to a country that the tenant allows."
            raise Refused(Reason.COUNTRY_NOT_ALLOWED, detail)


def _unfit_member(pointer: str, detail: str) -> Refused:
    errors = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "Correct the members listed in `errors`.", field_errors=errors)

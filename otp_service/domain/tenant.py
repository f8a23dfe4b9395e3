"""What a tenant allows: the frozen facts that the use cases judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.results import SendPolicy
from otp_service.domain.sms_segments import segments
from otp_service.domain.templates import Template, choose, whole_minutes

__all__ = ["ALL_COUNTRIES", "Tenant"]

ALL_COUNTRIES = "*"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller's account. `countries` is an allow-list, `*` in it allows every country (never a satellite)."""

    name: str
    brand: str
    country: str
    countries: frozenset[str]
    purposes: frozenset[str]
    sends: SendPolicy
    code_length: int
    max_attempts: int
    templates: Mapping[str, Mapping[str, Template]]

    def segments_of(self, country: str, locale: str, purpose: str) -> int:
        """Say how many segments a text will have, before there is a code: any of the same length takes as much room."""
        template = choose(self.templates, locale or None, country, purpose)
        text = template.render(self.brand, "0" * self.code_length, whole_minutes(self.sends.ttl_seconds))
        return segments(text)

    def check_purpose(self, purpose: str) -> None:
        """Raise `Refused` for a purpose that is not this tenant's."""
        if purpose not in self.purposes:
            raise Refused(Reason.PURPOSE_NOT_ALLOWED, "This purpose is not one of the tenant's.")

    def check_number(self, number: PhoneNumber) -> None:
        """Raise `Refused` for a number that gets no text: not mobile, or a country that is not allowed."""
        if not number.mobile:
            raise Refused(Reason.PHONE_NOT_MOBILE, f"The number is of type {number.type}, not mobile.")
        allowed = number.country in self.countries or (ALL_COUNTRIES in self.countries and number.country.isalpha())
        if not allowed:
            raise Refused(Reason.COUNTRY_NOT_ALLOWED, "Numbers of this country are not allowed.")

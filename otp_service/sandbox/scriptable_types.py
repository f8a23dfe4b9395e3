"""What can be scripted for each type of simulated gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otp_service.sandbox.simulators import (
    eims,
    infobip,
    kedasms,
    sendcloud,
    smpp,
    smshub,
    smtp,
    twilio,
    vonage,
    vonage_voice,
    whatsapp,
)
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smpp import SmppSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.smtp import SmtpSimulator
from otp_service.sandbox.simulators.twilio import TwilioSimulator
from otp_service.sandbox.simulators.twilio_voice import CALL_REASONS, TwilioVoiceSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.vonage_voice import VonageVoiceSimulator
from otp_service.sandbox.simulators.whatsapp import WhatsappSimulator

__all__ = ["SCRIPTABLE_TYPES", "ScriptableType"]


@dataclass(frozen=True, slots=True)
class ScriptableType:
    """What can be scripted for one type of gateway; `is_reason` is None for a type without receipts.

    `forms` are the encodings of its receipts, if it has several. `speaks_http` is False for a gateway that has no HTTP
    status, and no URL for receipts.
    """

    codes: range
    refusal: Callable[[int, str], Respond]
    has_error_text: bool = False
    is_reason: Callable[[int | str], bool] | None = None
    sends_receipts: bool = False
    forms: tuple[str, ...] = ()
    speaks_http: bool = True


def _in_ranges(*allowed: range) -> Callable[[int | str], bool]:
    return lambda reason: any(reason in one for one in allowed)


def _is_keyword(reason: int | str) -> bool:
    return re.fullmatch(r"[A-Z_]{1,32}", str(reason)) is not None


def _is_status_and_detail(reason: int | str) -> bool:
    return re.fullmatch(r"[a-z]{1,16}(?::[a-z_]{1,32})?", str(reason)) is not None


SCRIPTABLE_TYPES: Final[Mapping[type[Any], ScriptableType]] = {
    EimsSimulator: ScriptableType(
        codes=range(-99, 0),
        refusal=lambda code, _: eims.refusal(code),
        is_reason=_in_ranges(range(2, 5, 2), range(1001, 1100)),
    ),
    InfobipSimulator: ScriptableType(
        codes=range(6, 100),
        refusal=lambda code, _: infobip.refusal(code),
        is_reason=_in_ranges(range(4, 100)),
        sends_receipts=True,
    ),
    KedasmsSimulator: ScriptableType(
        codes=range(400, 600), refusal=kedasms.refusal, has_error_text=True, is_reason=_is_keyword, sends_receipts=True
    ),
    SendcloudSimulator: ScriptableType(
        codes=range(201, 100_000),
        refusal=lambda code, _: sendcloud.refusal(code),
        is_reason=_in_ranges(range(410, 600)),
        sends_receipts=True,
        forms=("json", "form"),
    ),
    SmppSimulator: ScriptableType(
        codes=range(1, 65_536),
        refusal=lambda code, _: smpp.refusal(code),
        is_reason=_in_ranges(range(1, 1000)),
        sends_receipts=True,
        speaks_http=False,
    ),
    SmshubSimulator: ScriptableType(codes=range(400, 600), refusal=smshub.refusal, has_error_text=True),
    SmtpSimulator: ScriptableType(codes=range(400, 600), refusal=smtp.refusal, has_error_text=True),
    TwilioSimulator: ScriptableType(
        codes=range(10_000, 100_000),
        refusal=lambda code, _: twilio.refusal(code),
        is_reason=_in_ranges(range(10_000, 100_000)),
        sends_receipts=True,
    ),
    TwilioVoiceSimulator: ScriptableType(
        codes=range(10_000, 100_000),
        refusal=lambda code, _: twilio.refusal(code),
        is_reason=lambda reason: reason in CALL_REASONS,
        sends_receipts=True,
    ),
    VonageSimulator: ScriptableType(
        codes=range(1, 100),
        refusal=vonage.refusal,
        has_error_text=True,
        is_reason=_in_ranges(range(1, 100)),
        sends_receipts=True,
        forms=("json", "form", "query"),
    ),
    VonageVoiceSimulator: ScriptableType(
        codes=range(400, 600),
        refusal=vonage_voice.refusal,
        has_error_text=True,
        is_reason=_is_status_and_detail,
        sends_receipts=True,
    ),
    WhatsappSimulator: ScriptableType(
        codes=range(200_000),
        refusal=lambda code, _: whatsapp.refusal(code),
        is_reason=_in_ranges(range(1, 200_000)),
        sends_receipts=True,
    ),
}

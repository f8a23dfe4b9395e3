"""POST /dev/gateways/NAME changes the script of a gateway; the body is a JSON object.

Members that are left out keep their value:

  next      how the gateway handles the next messages: a list with one step for
            each message, in order; it replaces the steps that are still pending
  always    the step for every message after those
  receipts  the receipts for each message that it accepts from now on: one
            object or a list; null sends none (smshub and smtp have none)
  inbound   a message to the gateway's number, such as {"from": "+62811...", "text":
            "STOP"}: eims (in its inbox), sendcloud (a webhook), smshub (the hub
            itself blocks the number); it is received at once
  form      sendcloud and vonage: send receipts as "json" or as "form"; vonage
            also as "query", by GET

A step, in `next` or as `always`, is one of:

  null                handle the message normally
  "hang"              accept the message, never respond
  "hang-unsent"       lose the message, never respond
  "cut"               accept the message, close the connection without a response
  "cut-unsent"        lose the message, close the connection without a response
  "down"              stop listening: in `next` for one second from the moment
                      that the step is reached, as `always` until it is changed
  {"down": 5}         the same, for 5 seconds
  {"slow": 3}         accept the message, respond after 3 seconds
  {"say": -10}        reject with this result code: eims -99 to -1, sendcloud
                      201 to 99999, twilio and twilio_voice 10000 to 99999,
                      vonage 1 to 99, infobip 6 to 99, whatsapp 0 to 199999,
                      smpp 1 to 65535 (a command_status);
                      kedasms, smshub and vonage_voice an HTTP status of 400 to
                      599; smtp a reply of 400 to 599 to the recipient; these
                      four and vonage with "message" as the error text
                      (vonage_voice: as the name of the wrong parameter)
  {"status": 503}     reject with an HTTP status as a proxy does, with "body"
                      and "headers" if you like; smtp replies so to the message;
                      not for smpp

A receipt is {"say": "delivered", "after": 1.0, "times": 2}: the status "sent",
"delivered" or "undelivered", the seconds after the message was accepted, and how
often it is sent. Out of order: [{"say": "delivered"}, {"say": "sent", "after": 2}].
Optional: "reason", the error code of "undelivered" (eims 2, 4 or 1001 to 1099;
sendcloud 410 to 599; twilio 10000 to 99999; vonage 1 to 99; infobip 4 to 99;
whatsapp 1 to 199999; smpp 1 to 999; kedasms a keyword; twilio_voice busy, no-answer,
failed or canceled; vonage_voice a status such as busy, or with a detail
failed:cannot_route), and "url", to send it to another URL.
EIMS is polled and sends nothing: it has neither "times" nor "url". An SMSC sends its
receipts over the connection: it has no "url".

For example: curl 127.0.0.1:8000/dev/gateways/keda --json '{"next": ["down"]}'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.sandbox.inbound_scripts import InboundObject, receive
from otp_service.sandbox.scriptable_types import SCRIPTABLE_TYPES, ScriptableType
from otp_service.sandbox.simulated_gateways import SimulatedGateway
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Respond, ScriptStep, SimulatorResponse, Slow
from otp_service.sandbox.simulators.receipt_sender import ReceiptStatus, ScriptedReceipt
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.sandbox.simulators.smtp import SmtpSimulator
from otp_service.sandbox.simulators.vonage import VonageSimulator

__all__ = ["SimulatorScripts"]

Seconds = Annotated[float, Meta(gt=0, le=3600)]
NamedStep = Literal["hang", "hang-unsent", "cut", "cut-unsent", "down"]
_NAMED: Final[Mapping[NamedStep, ScriptStep]] = {
    "hang": Hang(),
    "hang-unsent": Hang(processed=False),
    "cut": Cut(),
    "cut-unsent": Cut(processed=False),
    "down": Down(),
}
HeaderName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,64}\Z")]
HeaderValue = Annotated[str, Meta(pattern=r"\A[ -~]{0,256}\Z")]


class _StepObject(Struct, forbid_unknown_fields=True):
    """A step that is a JSON object; exactly one of `say`, `status`, `slow` and `down` is set."""

    say: int | UnsetType = UNSET
    message: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET
    status: Annotated[int, Meta(ge=200, le=599)] | UnsetType = UNSET
    body: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    headers: dict[HeaderName, HeaderValue] | UnsetType = UNSET
    slow: Seconds | UnsetType = UNSET
    down: Seconds | UnsetType = UNSET


class _ReceiptObject(Struct, forbid_unknown_fields=True):
    """A receipt as JSON; `after` is in seconds."""

    say: ReceiptStatus
    after: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    times: Annotated[int, Meta(ge=1, le=10)] = 1
    reason: int | str | None = None
    url: Annotated[str, Meta(pattern=r"\A(?:https?://[!-~]{1,2048})?\Z")] = ""


class _Script(Struct, forbid_unknown_fields=True):
    """The body of a request."""

    next: Annotated[list[NamedStep | _StepObject | None], Meta(max_length=1000)] | UnsetType = UNSET
    always: NamedStep | _StepObject | UnsetType | None = UNSET
    receipts: _ReceiptObject | Annotated[list[_ReceiptObject], Meta(max_length=10)] | UnsetType | None = UNSET
    form: Literal["json", "form", "query"] | UnsetType = UNSET
    inbound: InboundObject | UnsetType = UNSET


class SimulatorScripts:
    """Changes the scripts of gateways, and keeps them as JSON for the control API; the simulators execute them."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}

    def apply(self, gateway: SimulatedGateway, body: bytes) -> None:
        """Change a gateway's script by the JSON in `body`.

        Raises:
            Refused: The body is invalid (`request_malformed`); the script does not change.
        """
        try:
            script, document = msgspec.json.decode(body, type=_Script), msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise _malformed(problem) from None
        simulator, gateway_type = gateway.simulator, SCRIPTABLE_TYPES[type(gateway.simulator)]
        steps = [_build_step(step, gateway_type, f"/next/{index}") for index, step in enumerate(script.next or ())]
        always = _build_step(script.always or None, gateway_type, "/always")
        receipts = _build_receipts(script.receipts, gateway_type)
        if script.form and script.form not in gateway_type.forms:
            allowed = " or ".join(gateway_type.forms)
            _refuse(
                "/form", f"Send {allowed}." if allowed else "Leave this member out: only sendcloud and vonage have it."
            )
        document.pop("inbound", None)  # it happens once, and is not a part of the script
        if script.inbound is not UNSET and not receive(simulator, script.inbound):
            _refuse("/inbound", "Leave this member out: only eims, sendcloud and smshub have it.")
        if script.next is not UNSET:
            simulator.script(*steps, replace_pending=True)
        if script.always is not UNSET:
            simulator.always = always
        if script.receipts is not UNSET and not isinstance(simulator, SmshubSimulator | SmtpSimulator):
            simulator.receipts = receipts
        if script.form and isinstance(simulator, VonageSimulator):
            simulator.form = script.form
        if script.form and script.form != "query" and isinstance(simulator, SendcloudSimulator):
            simulator.form = script.form
        self._documents[gateway.name] = self._documents.get(gateway.name, {}) | document

    def current(self, gateway: SimulatedGateway) -> dict[str, Any]:
        """Return a gateway's script as JSON members, without the steps of `next` that are done."""
        document = {"next": [], "always": None, "receipts": None} | self._documents.get(gateway.name, {})
        done = len(document["next"]) - len(gateway.simulator.pending_steps)
        return document | {"next": document["next"][done:]}


def _build_step(step: NamedStep | _StepObject | None, gateway_type: ScriptableType, pointer: str) -> ScriptStep:
    if step is None:
        return None
    if isinstance(step, str):
        return _NAMED[step]
    _check_step(step, gateway_type, pointer)
    if step.say is not UNSET:
        return gateway_type.refusal(step.say, step.message or "Refused by the script")
    if step.status is not UNSET:
        return Respond(SimulatorResponse((step.body or "").encode(), step.status, step.headers or {}))
    return Slow(step.slow) if step.slow is not UNSET else Down(step.down or 0.0)


def _check_step(step: _StepObject, gateway_type: ScriptableType, pointer: str) -> None:
    members = {name for name in step.__struct_fields__ if getattr(step, name) is not UNSET}
    kinds = members & {"say", "status", "slow", "down"}
    if len(kinds) != 1:
        _refuse(pointer, "Send exactly one of say, status, slow and down.")
    [kind] = kinds
    options = {"say": {"message"} if gateway_type.has_error_text else set(), "status": {"body", "headers"}}
    for name in sorted(members - kinds - options.get(kind, set())):
        _refuse(f"{pointer}/{name}", f"Leave this member out: it cannot be combined with {kind} for this gateway.")
    if step.status is not UNSET and not gateway_type.speaks_http:
        _refuse(f"{pointer}/status", "Leave this member out: this gateway does not speak HTTP.")
    if step.say is not UNSET and step.say not in gateway_type.codes:
        _refuse(f"{pointer}/say", f"Send an integer from {gateway_type.codes.start} to {gateway_type.codes.stop - 1}.")


def _build_receipts(
    script: _ReceiptObject | list[_ReceiptObject] | UnsetType | None, gateway_type: ScriptableType
) -> list[ScriptedReceipt]:
    if not script:
        return []
    if gateway_type.is_reason is None:
        _refuse("/receipts", "Leave this member out: this type of gateway has no receipts.")
    receipts, pattern = (script, "/receipts/{}") if isinstance(script, list) else ([script], "/receipts")
    for index, receipt in enumerate(receipts):
        pointer = pattern.format(index)
        if receipt.reason is not None and not (receipt.say == "undelivered" and gateway_type.is_reason(receipt.reason)):
            _refuse(f"{pointer}/reason", "This type of gateway has no such reason for this status.")
        if not gateway_type.sends_receipts and (receipt.times != 1 or receipt.url):
            member = "url" if receipt.url else "times"
            _refuse(f"{pointer}/{member}", "Leave this member out: this gateway is polled and sends no receipts.")
        if not gateway_type.speaks_http and receipt.url:
            _refuse(f"{pointer}/url", "Leave this member out: this gateway does not speak HTTP.")
    return [ScriptedReceipt(one.say, one.after, one.times, one.reason, one.url) for one in receipts]


def _malformed(problem: Exception) -> Refused:
    """Convert a decoding error; msgspec's texts are passed on, because the caller is a developer on this machine."""
    text, _, path = str(problem).rpartition(" - at `$")
    steps = re.findall(r"\.([a-z_]+)|\[(\d+)\]", path if text else "")
    pointer = "".join(f"/{name or index}" for name, index in steps)
    detail = text or str(problem)
    if field := re.search(r"(?:missing required|unknown) field `([a-z_]+)`", detail):
        pointer = f"{pointer}/{field[1]}"
        detail = "Send this member." if "required" in detail else "Leave this member out: it is unknown."
    errors = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "The body is invalid.", field_errors=errors)


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise Refused(Reason.REQUEST_MALFORMED, "The body is invalid.", field_errors=(FieldError(pointer, detail),))

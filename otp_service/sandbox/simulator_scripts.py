"""POST /dev/gateways/NAME scripts a gateway with a JSON object.

What is not named in it stays as it is:

  next      what becomes of the next messages that it is sent, one each, in this
            order: a list, in place of what was still to come
  always    what becomes of every one after them
  receipts  what is told of each message that it takes from now on: one word,
            or a list; null tells nothing (not for smshub, which never tells)
  form      sendcloud alone: its events come as "json" or as "form"

Each of `next`, and `always`, is one of:

  null                as the gateway does
  "hang"              take the message, never answer
  "hang-unsent"       the same, and the message is lost
  "cut"               take the message, then cut the connection
  "cut-unsent"        the same, and the message is lost
  "down"              listen no more: for a second from when its turn comes,
                      as `always` until told otherwise
  {"down": 5}         the same, for so many seconds
  {"slow": 3}         take the message, answer after so many seconds
  {"say": -10}        refuse with this code of the gateway's own: eims -99 to
                      -1, sendcloud 201 to 99999, kedasms and smshub an HTTP
                      status of 400 to 599, with "message" as their words
  {"status": 503}     refuse with an HTTP status that is not the gateway's but
                      a proxy's, with "body" and "headers" if you like

A receipt is {"say": "delivered", "after": 1.0, "times": 2}: "sent", "delivered"
or "undelivered", so many seconds after the message was taken, so many times.
Out of order is [{"say": "delivered"}, {"say": "sent", "after": 2}]. Also
"reason", for what is undelivered (eims 2, 4 or 1001 to 1099; sendcloud 410 to
599; kedasms its keyword), and "url", to call another address than the service.
EIMS is asked and does not call: it has neither "times" nor "url".

For example: curl 127.0.0.1:8000/dev/gateways/keda --json '{"next": ["down"]}'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.sandbox.simulated_gateways import SimulatedGateway
from otp_service.sandbox.simulators import eims, kedasms, sendcloud, smshub
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Respond, ScriptStep, SimulatorResponse, Slow
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt, Word
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator

__all__ = ["Scripts"]

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


class _Step(Struct, forbid_unknown_fields=True):
    """One of them, but for those that are a word."""

    say: int | UnsetType = UNSET
    message: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET
    status: Annotated[int, Meta(ge=200, le=599)] | UnsetType = UNSET
    body: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    headers: dict[HeaderName, HeaderValue] | UnsetType = UNSET
    slow: Seconds | UnsetType = UNSET
    down: Seconds | UnsetType = UNSET


class _Told(Struct, forbid_unknown_fields=True):
    """One word about a message."""

    say: Word
    after: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    times: Annotated[int, Meta(ge=1, le=10)] = 1
    reason: int | str | None = None
    url: Annotated[str, Meta(pattern=r"\A(?:https?://[!-~]{1,2048})?\Z")] = ""


class _Script(Struct, forbid_unknown_fields=True):
    """A whole script."""

    next: Annotated[list[NamedStep | _Step | None], Meta(max_length=1000)] | UnsetType = UNSET
    always: NamedStep | _Step | UnsetType | None = UNSET
    receipts: _Told | Annotated[list[_Told], Meta(max_length=10)] | UnsetType | None = UNSET
    form: Literal["json", "form"] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What may be scripted of one type of gateway."""

    codes: range
    refusal: Callable[[int, str], Respond]
    has_words: bool = False
    may_be_reason: Callable[[int | str], bool] | None = None
    calls: bool = False


def _among(*allowed: range) -> Callable[[int | str], bool]:
    return lambda reason: any(reason in one for one in allowed)


def _is_keyword(reason: int | str) -> bool:
    return re.fullmatch(r"[A-Z_]{1,32}", str(reason)) is not None


_DIALECTS: Final[Mapping[type[Any], _Dialect]] = {
    EimsSimulator: _Dialect(
        codes=range(-99, 0),
        refusal=lambda code, _: eims.refusal(code),
        may_be_reason=_among(range(2, 5, 2), range(1001, 1100)),
    ),
    KedasmsSimulator: _Dialect(
        codes=range(400, 600), refusal=kedasms.refusal, has_words=True, may_be_reason=_is_keyword, calls=True
    ),
    SendcloudSimulator: _Dialect(
        codes=range(201, 100_000),
        refusal=lambda code, _: sendcloud.refusal(code),
        may_be_reason=_among(range(410, 600)),
        calls=True,
    ),
    SmshubSimulator: _Dialect(codes=range(400, 600), refusal=smshub.refusal, has_words=True),
}


class Scripts:
    """The scripts that are in force: gateways hold them, and here they are in the words that they were told in."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._words: dict[str, dict[str, Any]] = {}

    def apply(self, gateway: SimulatedGateway, body: bytes) -> None:
        """Script a gateway; raises `Refused` (`request_malformed`), and changes nothing then."""
        try:
            script, words = msgspec.json.decode(body, type=_Script), msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise _malformed(problem) from None
        simulator, dialect = gateway.simulator, _DIALECTS[type(gateway.simulator)]
        steps = [_step(one, dialect, f"/next/{place}") for place, one in enumerate(script.next or ())]
        always = _step(script.always or None, dialect, "/always")
        receipts = _receipts(script.receipts, dialect)
        if script.form and not isinstance(simulator, SendcloudSimulator):
            _refuse("/form", "is for sendcloud alone")
        if script.next is not UNSET:
            simulator.script(*steps, replace_pending=True)
        if script.always is not UNSET:
            simulator.always = always
        if script.receipts is not UNSET and not isinstance(simulator, SmshubSimulator):
            simulator.receipts = receipts
        if script.form and isinstance(simulator, SendcloudSimulator):
            simulator.form = script.form
        self._words[gateway.name] = self._words.get(gateway.name, {}) | words

    def shown(self, gateway: SimulatedGateway) -> dict[str, Any]:
        """Show what a gateway still has of its script."""
        words = {"next": [], "always": None, "receipts": None} | self._words.get(gateway.name, {})
        done = len(words["next"]) - len(gateway.simulator.pending_steps)
        return words | {"next": words["next"][done:]}


def _step(told: NamedStep | _Step | None, dialect: _Dialect, at: str) -> ScriptStep:
    if told is None:
        return None
    if isinstance(told, str):
        return _NAMED[told]
    _check_step(told, dialect, at)
    if told.say is not UNSET:
        return dialect.refusal(told.say, told.message or "Refused by the script")
    if told.status is not UNSET:
        return Respond(SimulatorResponse((told.body or "").encode(), told.status, told.headers or {}))
    return Slow(told.slow) if told.slow is not UNSET else Down(told.down or 0.0)


def _check_step(told: _Step, dialect: _Dialect, at: str) -> None:
    given = {name for name in told.__struct_fields__ if getattr(told, name) is not UNSET}
    kinds = given & {"say", "status", "slow", "down"}
    if len(kinds) != 1:
        _refuse(at, "has to have one of say, status, slow and down")
    [kind] = kinds
    with_it = {"say": {"message"} if dialect.has_words else set(), "status": {"body", "headers"}}.get(kind, set())
    for name in sorted(given - kinds - with_it):
        _refuse(f"{at}/{name}", f"does not go with {kind} here")
    if told.say is not UNSET and told.say not in dialect.codes:
        _refuse(f"{at}/say", f"is not one of {dialect.codes.start} to {dialect.codes.stop - 1}")


def _receipts(told: _Told | list[_Told] | UnsetType | None, dialect: _Dialect) -> list[ScriptedReceipt]:
    if not told:
        return []
    if dialect.may_be_reason is None:
        _refuse("/receipts", "cannot be told: this type of gateway has none")
    row, at = (told, "/receipts/{}") if isinstance(told, list) else ([told], "/receipts")
    for place, one in enumerate(row):
        where = at.format(place)
        if one.reason is not None and not (one.say == "undelivered" and dialect.may_be_reason(one.reason)):
            _refuse(f"{where}/reason", "is none of this type of gateway for this word")
        if not dialect.calls and (one.times != 1 or one.url):
            _refuse(f"{where}/{'url' if one.url else 'times'}", "is for gateways that call, and this one is asked")
    return [ScriptedReceipt(one.say, one.after, one.times, one.reason, one.url) for one in row]


def _malformed(problem: Exception) -> Refused:
    """Say where a script is wrong, as msgspec words it: who reads this wrote it, on the same machine."""
    said, _, path = str(problem).rpartition(" - at `$")
    pointer = "".join(f"/{name or place}" for name, place in re.findall(r"\.([a-z_]+)|\[(\d+)\]", path if said else ""))
    detail = said or str(problem)
    if named := re.search(r"(?:missing required|unknown) field `([a-z_]+)`", detail):
        pointer, detail = f"{pointer}/{named[1]}", "is required" if "required" in detail else "is not known here"
    mistakes = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "The body is not as it should be.", mistakes=mistakes)


def _refuse(pointer: str, detail: str) -> NoReturn:
    mistakes = (FieldError(pointer, detail),)
    raise Refused(Reason.REQUEST_MALFORMED, "The body is not as it should be.", mistakes=mistakes)

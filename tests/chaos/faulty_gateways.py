"""Three gateways with moods: each is the simulator of its type behind a door that behaves as the dice say.

What a gateway took is in `texts`, with the mood that it was in. Of each it tells later what became of it, as its wire
has it: EIMS when it is asked, the others by a call, which is repeated until it is answered. Receipts come late, twice,
before the answer to the send, and of texts whose answer nobody got.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import httpx

from otp_service.sandbox.simulators import eims, kedasms, sendcloud
from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import (
    Behaviour,
    Cut,
    Hang,
    Request,
    Respond,
    Simulator,
    SimulatorResponse,
    Slow,
)
from otp_service.sandbox.simulators.kedasms import KedasmsMessage, KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudMessage, SendcloudSimulator
from tests.chaos.gateway_faults import LIES, REFUSALS, Fate, Mood, Moods, Text

__all__ = ["ACCOUNT", "Aurora", "Jakarta", "Keda", "Moody", "Wrong"]

ACCOUNT: Final = "acme"
PASSWORD: Final = "gateway-password"
HOOK_KEY: Final = "hook-key"
TRIES: Final = 20
TRY_AGAIN_SECONDS: Final = 0.5
CARRIER_FAILED: Final = 570
"""SMSHook: out of coverage. Another gateway may be asked."""

PAGE: Final = SimulatorResponse(b"<html><h1>Internal Server Error</h1></html>", 500, {"Content-Type": "text/html"})
GARBLED: Final = SimulatorResponse(b'{"status": 0, "arr')

_SILENCES: Final[Mapping[Mood, Behaviour]] = {
    Mood.HANGS: Hang(),
    Mood.SILENT: Hang(processed=False),
    Mood.CUTS: Cut(),
    Mood.DROPS: Cut(processed=False),
}

Wrong = Callable[[str], None]
"""Is told what no gateway should meet."""


class Moody(Simulator):
    """A gateway with moods, until it is `calm`. It listens; `inner` does what the gateway does."""

    name: ClassVar[str]
    path: ClassVar[str]
    refusals: ClassVar[Mapping[Mood, Respond]]

    def __init__(self, inner: Simulator, moods: Moods, beat: Callable[[], None], wrong: Wrong) -> None:
        """Behave by `moods`; `beat` is called for every request to send, `wrong` for a receipt that is not taken."""
        super().__init__()
        self.texts: list[Text] = []
        self.sends = 0
        self.downs_ms: list[float] = []
        self.receipts_url = ""
        self.calm = False
        self._inner = inner
        self._moods = moods
        self._beat = beat
        self._wrong = wrong
        self._mood = Mood.TAKES
        self._telling: set[asyncio.Task[None]] = set()

    @abstractmethod
    def new_messages(self) -> list[Any]:
        """Give what was taken since the last call, as the simulator keeps it."""

    @abstractmethod
    def text(self, message: Any, at_ms: float, mood: Mood) -> Text:
        """Write down a message as a text."""

    @abstractmethod
    async def tell(self, message: Any, fate: Fate, times: int, /) -> None:
        """Tell what became of a message, `times` over."""

    @property
    def telling(self) -> bool:
        """There is something to be told yet."""
        return bool(self._telling)

    def answer(self, request: Request) -> SimulatorResponse:
        """Do what the gateway does, and keep what it took."""
        reply = self._inner.answer(request)
        for message in self.new_messages():
            self.texts.append(self.text(message, time.time() * 1000, self._mood))
            task = asyncio.create_task(self._tell_later(message))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        return reply

    async def go_down(self) -> None:
        """Listen no more, and drop who is connected; `listen` ends it."""
        self.downs_ms.append(time.time() * 1000)
        await self.close()

    async def end(self) -> None:
        """Listen no more and tell no more."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self.close()

    def _next_behaviour(self, request: Request) -> Behaviour | None:
        """Draw for what is to be sent; nothing is awaited between that and the answer."""
        self._mood = Mood.TAKES
        if request.path != self.path:
            return None
        self.sends += 1
        self._beat()
        self._mood = Mood.TAKES if self.calm else self._moods.mood()
        return self._in_mood(request)

    def _in_mood(self, request: Request) -> Behaviour | None:
        mood = self._mood
        if mood in LIES:
            self.answer(request)
            if mood is Mood.DENIES:
                return self.refusals[Mood.TRANSIENT]
            return Respond(PAGE if mood is Mood.PAGE else GARBLED)
        if mood in REFUSALS:
            return self.refusals[mood]
        if mood in (Mood.SLOW, Mood.LATE):
            return Slow(self._moods.seconds(mood))
        return _SILENCES.get(mood)

    async def _tell_later(self, message: Any) -> None:
        fate, seconds, times = self._moods.fate()
        await asyncio.sleep(seconds)
        await self.tell(message, fate, times)

    async def _call(self, url: str, content_type: str, body: bytes, times: int) -> None:
        """Call the service `times` over, each time until it answers: an authentic receipt gets 200."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            for _ in range(times):
                await self._call_once(client, url, content_type, body)

    async def _call_once(self, client: httpx.AsyncClient, url: str, content_type: str, body: bytes) -> None:
        for _ in range(TRIES):
            try:
                status = (await client.post(url, content=body, headers={"Content-Type": content_type})).status_code
            except httpx.TransportError:
                status = 503
            if status == 200:
                return
            if status < 500:
                self._wrong(f"a receipt of {self.name} was answered with {status}")
                return
            await asyncio.sleep(TRY_AGAIN_SECONDS)


class Jakarta(Moody):
    """EIMS: what became of a message is asked for."""

    name = "jakarta"
    path = "/sendsms"
    refusals: ClassVar[Mapping[Mood, Respond]] = {
        Mood.TRANSIENT: eims.refusal(-12),
        Mood.THROTTLED: eims.refusal(-15),
        Mood.FUNDS: eims.refusal(-10),
        Mood.CONFIG: eims.refusal(-1),
        Mood.RECIPIENT: eims.refusal(-9),
    }

    def __init__(self, moods: Moods, beat: Callable[[], None], wrong: Wrong) -> None:
        """Write reports with a delivery status."""
        self._eims = EimsSimulator(ACCOUNT, PASSWORD, row_length=5)
        super().__init__(self._eims, moods, beat, wrong)

    def new_messages(self) -> list[EimsMessage]:
        """Give what was taken since the last call."""
        return self._eims.messages[len(self.texts) :]

    def text(self, message: EimsMessage, at_ms: float, mood: Mood) -> Text:
        """Write down a message as a text."""
        return Text(self.name, message.to, _code(message.text), at_ms, mood)

    async def tell(self, message: EimsMessage, fate: Fate, _times: int) -> None:
        """Have it in the report from now on; one that nothing is told of has arrived, or it would be asked for ever."""
        self._eims.states[message.id] = EimsState(0, 2 if fate is Fate.UNDELIVERED else 3)


class Keda(Moody):
    """KedaSMS: it calls the address that the send gave."""

    name = "keda"
    path = "/api/sms/send"
    refusals: ClassVar[Mapping[Mood, Respond]] = {
        Mood.TRANSIENT: kedasms.refusal(503, "Service unavailable"),
        Mood.THROTTLED: kedasms.refusal(429, "Too many requests", headers={"Retry-After": "1"}),
        Mood.FUNDS: kedasms.refusal(402, "Insufficient balance"),
        Mood.CONFIG: kedasms.refusal(401, "Invalid API key"),
        Mood.RECIPIENT: kedasms.refusal(400, "Invalid phone number"),
    }

    def __init__(self, moods: Moods, beat: Callable[[], None], wrong: Wrong) -> None:
        """Answer to the account's key."""
        self._keda = KedasmsSimulator(PASSWORD)
        super().__init__(self._keda, moods, beat, wrong)

    def new_messages(self) -> list[KedasmsMessage]:
        """Give what was taken since the last call."""
        return self._keda.messages[len(self.texts) :]

    def text(self, message: KedasmsMessage, at_ms: float, mood: Mood) -> Text:
        """Write down a message as a text; our id stands in the address for its receipts."""
        reference = message.callback_url.rpartition("/")[2].partition(".")[0]
        return Text(self.name, message.to.lstrip("+"), _code(message.text), at_ms, mood, reference)

    async def tell(self, message: KedasmsMessage, fate: Fate, times: int) -> None:
        """Call, if anything is told."""
        if fate is not Fate.UNTOLD:
            body = self._keda.callback(message, fate.value.upper())
            await self._call(message.callback_url, "application/json", body, times)


class Aurora(Moody):
    """SendCloud: it signs, and sends a message that it knows once."""

    name = "aurora"
    path = "/smsapi/send"
    refusals: ClassVar[Mapping[Mood, Respond]] = {
        Mood.TRANSIENT: sendcloud.refusal(501),
        Mood.THROTTLED: sendcloud.refusal(50000),
        Mood.FUNDS: sendcloud.refusal(40912),
        Mood.CONFIG: sendcloud.refusal(40005, status=401),
        Mood.RECIPIENT: sendcloud.refusal(412),
    }

    def __init__(self, moods: Moods, beat: Callable[[], None], wrong: Wrong) -> None:
        """Sign with the account's key."""
        self._sendcloud = SendcloudSimulator(ACCOUNT, PASSWORD, app_key=HOOK_KEY)
        super().__init__(self._sendcloud, moods, beat, wrong)

    def new_messages(self) -> list[SendcloudMessage]:
        """Give what was taken since the last call."""
        return self._sendcloud.messages[len(self.texts) :]

    def text(self, message: SendcloudMessage, at_ms: float, mood: Mood) -> Text:
        """Write down a message as a text."""
        return Text(self.name, message.to, message.values["code"], at_ms, mood, message.request_id)

    async def tell(self, message: SendcloudMessage, fate: Fate, times: int) -> None:
        """Call the one address that the account has, if anything is told; a repetition is the same, token and all."""
        if fate is Fate.UNTOLD:
            return
        failed = fate is Fate.UNDELIVERED
        hook = self._sendcloud.webhooks.build(
            "delivererror" if failed else "deliver",
            at=time.time(),
            sms_id=message.sms_id,
            custom_args=message.custom_args,
            status_code=CARRIER_FAILED if failed else None,
        )
        await self._call(self.receipts_url, hook.content_type, hook.body, times)


def _code(text: str) -> str:
    found = re.search(r"\d{6}", text)
    assert found, text
    return found[0]

"""What KedaSMS' answers mean. No error code or text of it is documented, so how refusals are read is assumed.

Success is read narrowly: `code` "0" with a `taskId`. A refusal is judged by its HTTP status, which may stand in `code`
too, and by its words; what is not surely a refusal is ambiguous, because the proxy may have passed the request on.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Final

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import (
    LONGEST_ID,
    LONGEST_REMARK,
    integer,
    json_object,
    names_destination,
    seconds_to_wait,
    text_of_body,
    without_echo,
)

__all__ = [
    "LATER_REASONS",
    "OUTCOMES",
    "REASONS",
    "date_of",
    "doubts_time",
    "is_ok",
    "read_answer",
    "read_limits",
    "status_of",
    "text_of",
]

OUTCOMES: Final[dict[int, Outcome]] = {
    # HTTP statuses, also where `code` is one of them; these need no words
    401: Outcome.CONFIG_ERROR,
    402: Outcome.FUNDS,
    408: Outcome.AMBIGUOUS,  # a proxy may say so about its back end
    429: Outcome.THROTTLED,
    503: Outcome.TRANSIENT,
}

SURE: Final = frozenset({401})
"""The statuses of `config_error` that surely concern the account."""

REASONS: Final[tuple[tuple[str, Outcome], ...]] = (
    # words of a refusal (any other 4xx, or a `code` that is not "0"), in this order; no list of them is public. Between
    # the two tables stands what `names_destination` finds: it is no verdict about the recipient
    (r"\b(timestamp|clock|time window|request expired)\b", Outcome.CONFIG_ERROR),
    (r"\b(decrypt\w*|cipher\w*|encrypt\w*|iv|aad|tag)\b|解密", Outcome.CONFIG_ERROR),
    (r"\b(insufficient|balance|funds?|credits?|recharge)\b|余额", Outcome.FUNDS),
    (r"\b(sensitive|keyword|prohibited|spam|too long|content)\b|敏感|内容", Outcome.CONTENT_REJECTED),
    (r"\b(limits?|caps?|quota|exceed\w*|too (many|frequent)\w*|frequency|throttl\w*)\b|上限|频", Outcome.THROTTLED),
    (r"\b(blacklist\w*|blocklist\w*|unsubscri\w*|opted out|opt out)\b|黑名单|退订", Outcome.RECIPIENT_BLOCKED),
)
LATER_REASONS: Final[tuple[tuple[str, Outcome], ...]] = (
    (r"\bapi ?key\b|\bun ?authori[sz]ed\b|\bauthentication\b|\bcredentials\b|密钥|鉴权", Outcome.CONFIG_ERROR),
    (
        r"\b(accounts?|users?|ip)\b.{1,40}\b(locked|suspended|disabled|frozen|whitelist\w*|allowed)\b",
        Outcome.CONFIG_ERROR,
    ),
    (r"\b(phones?|numbers?|recipients?|mobile|msisdn)\b|手机|号码", Outcome.RECIPIENT_INVALID),
    (r"\b(sender|signature|callback|permission|whitelist|ip|suspended|disabled)\b|签名", Outcome.CONFIG_ERROR),
    (r"\b(payload|parameters?|json|fields?|missing|required)\b|参数", Outcome.CONFIG_ERROR),
)
_REASONS, _LATER_REASONS = (
    tuple((re.compile(words), outcome) for words, outcome in table) for table in (REASONS, LATER_REASONS)
)
_TIME_DOUBTED: Final = _REASONS[0][0]
_ACCOUNT: Final = tuple(pattern for pattern, _ in _LATER_REASONS[:2])
"""Words that surely concern the account: its key is wrong, it is locked, our address is not allowed."""

DAY_SECONDS: Final = 86_400
_WORD_ENDS: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_PER_DAY: Final = re.compile(r"\b(daily|caps?|day)\b")
_UNDELIVERED: Final = re.compile(r"(UNDELIV|FAIL|REJECT|EXPIRED)")


def read_answer(reply: GatewayResponse | Outcome, now: float, text: str = "") -> SendResult:
    """Say what the answer to a send of `text` means. `now` tells when a daily cap ends: with the day (UTC, assumed)."""
    if isinstance(reply, Outcome):
        return SendResult(reply)
    answer = json_object(reply.body)
    data, success = answer.get("data"), text_of(answer.get("code")) == "0"
    task_id = text_of(data.get("taskId")) if isinstance(data, dict) else ""
    if success and task_id and is_ok(reply.status):
        return SendResult(Outcome.ACCEPTED, task_id)
    if success or task_id:  # it contradicts itself, and may have taken the message
        return SendResult(Outcome.AMBIGUOUS)
    words = words_of(reply, text)
    outcome = _refusal(reply, words)
    if outcome is Outcome.CONFIG_ERROR and not _is_sure(reply, words):
        return SendResult.undocumented()
    if not outcome.retryable:
        return SendResult(outcome)
    wait = seconds_to_wait(reply.headers)
    if wait is None and outcome is Outcome.THROTTLED and _PER_DAY.search(words):
        wait = DAY_SECONDS - now % DAY_SECONDS
    return SendResult(outcome, retry_after=wait)


def _is_sure(reply: GatewayResponse, words: str) -> bool:
    """Say whether a `config_error` surely concerns the account; any other may be about this one request."""
    return _status_of(reply) in SURE or any(pattern.search(words) for pattern in _ACCOUNT)


def _refusal(reply: GatewayResponse, words: str) -> Outcome:
    """Judge an answer that is not success; what is not surely a refusal is ambiguous."""
    status = _status_of(reply)
    if status is None:
        return Outcome.AMBIGUOUS
    if status in OUTCOMES:
        return OUTCOMES[status]
    if status and not 400 <= status < 500:
        return Outcome.AMBIGUOUS
    reason = _reason(words)
    if reason is Outcome.RECIPIENT_INVALID and status == 403:  # forbidden, not malformed: another gateway may send it
        return Outcome.DESTINATION_UNSUPPORTED
    if reason is not None:
        return reason
    if not status:
        return Outcome.TRANSIENT  # refused under a code of its own that nobody knows: another gateway may take it
    # a page of a proxy has no words, and has not judged the number
    return Outcome.RECIPIENT_INVALID if status in (400, 422) and words else Outcome.CONFIG_ERROR


def _reason(words: str) -> Outcome | None:
    """Find what the words of a refusal are about; None where none of them is known."""
    first = (outcome for pattern, outcome in _REASONS if pattern.search(words))
    later = (outcome for pattern, outcome in _LATER_REASONS if pattern.search(words))
    return next(first, None) or (Outcome.DESTINATION_UNSUPPORTED if names_destination(words) else next(later, None))


def _status_of(reply: GatewayResponse) -> int | None:
    """Give the HTTP status of a refusal, or the one in `code`; 0: another code, None: not the gateway's own answer."""
    if not is_ok(reply.status):
        return reply.status
    answer = json_object(reply.body)
    code = text_of(answer.get("code"))
    if not code and answer.get("success") is not False:
        return None
    number = integer(code)
    return number if number and 100 <= number < 600 else 0


def read_limits(reply: GatewayResponse | Outcome) -> Outcome:
    """Judge the answer to the limits: any 2xx but one that says no, or that is no JSON (the console's page)."""
    if isinstance(reply, Outcome):
        return reply
    answer = json_object(reply.body)
    if is_ok(reply.status) and answer.get("success") is not False and text_of(answer.get("code")) in ("", "0", "200"):
        return Outcome.ACCEPTED if answer or not reply.body.strip() else Outcome.AMBIGUOUS
    outcome = _refusal(reply, words_of(reply))
    return Outcome.CONFIG_ERROR if outcome.about_recipient else outcome


def status_of(value: object) -> DeliveryStatus | None:
    """Read a keyword: only DELIVERED is documented, the failures are assumed, all else is on its way."""
    keyword = text_of(value).upper()
    if keyword == "DELIVERED":
        return DeliveryStatus.DELIVERED
    return DeliveryStatus.UNDELIVERED if _UNDELIVERED.match(keyword) else None


def words_of(reply: GatewayResponse, text: str = "") -> str:
    """Give what the gateway says about a refusal in lower-case words, `dailyCap` and `DAILY_CAP` in two; "": a page.

    The message's own `text` is left out, should it be echoed.
    """
    if answer := json_object(reply.body):
        data = answer.get("data")
        said = [answer.get(name) for name in ("code", "message", "msg", "error")]
        said.append(data.get("message") if isinstance(data, dict) else None)
        remark = " ".join(str(one) for one in said if one is not None)
    else:
        remark = text_of_body(reply.body)
        remark = "" if remark.startswith("<") else remark
    return _WORD_ENDS.sub(" ", without_echo(remark, text)[:LONGEST_REMARK]).lower()


def text_of(value: object) -> str:
    """Read what may be text or a whole number."""
    return str(value).strip()[:LONGEST_ID] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def date_of(header: str) -> float | None:
    """Read a `Date` header, in Unix seconds; None for what is none."""
    try:
        return parsedate_to_datetime(header[:LONGEST_ID]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def is_ok(status: int) -> bool:
    """Say whether an HTTP status is a success."""
    return 200 <= status < 300


def doubts_time(reply: GatewayResponse) -> bool:
    """Say whether a refusal is for the sake of the timestamp."""
    return 400 <= reply.status < 500 and bool(_TIME_DOUBTED.search(words_of(reply)))

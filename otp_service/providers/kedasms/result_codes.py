"""Result codes of KedaSMS: HTTP statuses, error texts and delivery states.

Documented: `code` "0" for success, and the delivery state DELIVERED. No other code and no error text is documented, so
the tables below are assumptions. They take a response as a refusal only if it clearly is one; anything else is
ambiguous, because the proxy may have forwarded the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.responses import describes_unsupported_destination

__all__ = ["ACCOUNT_STATUSES", "STATUS_OUTCOMES", "TEXT_OUTCOMES", "delivery_status", "is_account_error", "refusal"]

STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    # HTTP statuses, also when `code` holds one; the error text is not examined
    401: Outcome.CONFIG_ERROR,
    402: Outcome.FUNDS,
    408: Outcome.AMBIGUOUS,  # may be the proxy's, about its back end
    429: Outcome.THROTTLED,
    503: Outcome.TRANSIENT,
}

ACCOUNT_STATUSES: Final = frozenset({401})
"""Statuses of `config_error` that certainly concern the account, so that its circuit opens at once."""


def _matches(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


is_timestamp_error: Final = _matches(r"\b(timestamp|clock|time window|request expired)\b")
_names_api_key: Final = _matches(r"\bapi ?key\b|\bun ?authori[sz]ed\b|\bauthentication\b|\bcredentials\b|密钥|鉴权")
_names_locked_account: Final = _matches(
    r"\b(accounts?|users?|ip)\b.{1,40}\b(locked|suspended|disabled|frozen|whitelist\w*|allowed)\b"
)

TEXT_OUTCOMES: Final[tuple[tuple[Callable[[str], object], Outcome], ...]] = (
    # Error texts (in lower case) of any other 4xx, or of a `code` other than "0". The first match decides
    (is_timestamp_error, Outcome.CONFIG_ERROR),
    (_matches(r"\b(decrypt\w*|cipher\w*|encrypt\w*|iv|aad|tag)\b|解密"), Outcome.CONFIG_ERROR),
    (_matches(r"\b(insufficient|balance|funds?|credits?|recharge)\b|余额"), Outcome.FUNDS),
    (_matches(r"\b(sensitive|keyword|prohibited|spam|too long|content)\b|敏感|内容"), Outcome.CONTENT_REJECTED),
    (
        _matches(r"\b(limits?|caps?|quota|exceed\w*|too (many|frequent)\w*|frequency|throttl\w*)\b|上限|频"),
        Outcome.THROTTLED,
    ),
    (
        _matches(r"\b(blacklist\w*|blocklist\w*|unsubscri\w*|opted out|opt out)\b|黑名单|退订"),
        Outcome.RECIPIENT_BLOCKED,
    ),
    (describes_unsupported_destination, Outcome.DESTINATION_UNSUPPORTED),
    (_names_api_key, Outcome.CONFIG_ERROR),
    (_names_locked_account, Outcome.CONFIG_ERROR),
    (_matches(r"\b(phones?|numbers?|recipients?|mobile|msisdn)\b|手机|号码"), Outcome.RECIPIENT_INVALID),
    (
        _matches(r"\b(sender|signature|callback|permission|whitelist|ip|suspended|disabled)\b|签名"),
        Outcome.CONFIG_ERROR,
    ),
    (_matches(r"\b(payload|parameters?|json|fields?|missing|required)\b|参数"), Outcome.CONFIG_ERROR),
)

_DELIVERED: Final = frozenset({"DELIVERED", "DELIVRD"})  # the second is the state in receipts of SMPP
_UNDELIVERED: Final = re.compile(r"UNDELIV|NOT[ _-]?DELIV|FAIL|REJECT|EXPIRED")


def refusal(status: int | None, error_text: str) -> Outcome:
    """Return the outcome of a response that is not a success.

    Args:
        status: The HTTP status of the error; 0 for an error code of another kind, None if the response is not in the
            documented form.
        error_text: The error text in lower case; "" for a page of a proxy.
    """
    if status is None:
        return Outcome.AMBIGUOUS
    if status in STATUS_OUTCOMES:
        return STATUS_OUTCOMES[status]
    if status and not 400 <= status < 500:
        return Outcome.AMBIGUOUS
    outcome = next((outcome for matches, outcome in TEXT_OUTCOMES if matches(error_text)), None)
    if outcome is Outcome.RECIPIENT_INVALID and status == 403:  # forbidden, not malformed: another gateway may send it
        return Outcome.DESTINATION_UNSUPPORTED
    if outcome is not None:
        return outcome
    if not status:
        return Outcome.TRANSIENT  # refused with an unknown code: another gateway may accept the message
    # a proxy's page has no error text, and says nothing about the number
    return Outcome.RECIPIENT_INVALID if status in (400, 422) and error_text else Outcome.CONFIG_ERROR


def is_account_error(status: int | None, error_text: str) -> bool:
    """Whether a `config_error` certainly concerns the account: wrong key, locked account, IP address not allowed.

    Any other one may concern a single request.
    """
    return bool(status in ACCOUNT_STATUSES or _names_api_key(error_text) or _names_locked_account(error_text))


def delivery_status(state: str) -> DeliveryStatus | None:
    """Return the status of a delivery state; None if the message is still in transit.

    The names of the failed states are assumed.
    """
    keyword = state.upper()
    if keyword in _DELIVERED:
        return DeliveryStatus.DELIVERED
    return DeliveryStatus.UNDELIVERED if _UNDELIVERED.match(keyword) else None

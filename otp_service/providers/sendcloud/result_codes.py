"""Result codes of Aurora SendCloud: `statusCode` of a response, refusals of single numbers, and webhook events.

Sources: Aurora's list of codes, and the lists of the older sendcloud.net, the same platform. Each table names its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.responses import describes_unsupported_destination

__all__ = [
    "ACCOUNT_ERRORS",
    "EVENT_ERRORS",
    "EVENT_STATUSES",
    "NONE_SENT",
    "PARTIAL",
    "REPLY_EVENT",
    "STATUS_OUTCOMES",
    "SUCCESS",
    "TEMPLATE_REVIEW_EVENT",
    "TIMESTAMP_ERROR",
    "UNSUBSCRIBE_EVENT",
    "number_refusal",
    "unlisted_status",
]

SUCCESS: Final = 200
PARTIAL: Final = 311
NONE_SENT: Final = 312
TIMESTAMP_ERROR: Final = 461

HELD_BACK_OUTCOMES: Final[dict[int, Outcome]] = {
    # SMSHook page, `statusCode` of what the platform itself held back (workererror, suppressed)
    410: Outcome.RECIPIENT_BLOCKED,  # global blocklist
    420: Outcome.RECIPIENT_BLOCKED,  # blocklist of the account
    430: Outcome.RECIPIENT_BLOCKED,  # unsubscribed
    440: Outcome.CONTENT_REJECTED,  # keyword filter (Aurora's newer page: invalid number; failover is safe for both)
    450: Outcome.CONTENT_REJECTED,  # variables (Aurora's newer page: rejected by the carrier)
    460: Outcome.CONTENT_REJECTED,  # longer than 500 characters
}
"""Listed for events only; a response that has one of them means the same, and nothing was submitted either."""

STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    **HELD_BACK_OUTCOMES,
    # Aurora's list of codes; the other 4xxxx of it concern e-mail
    40005: Outcome.CONFIG_ERROR,  # authentication failed
    40912: Outcome.FUNDS,  # balance not enough
    40913: Outcome.THROTTLED,  # quota of requests exceeded
    50000: Outcome.THROTTLED,  # too frequent
    50001: Outcome.CONFIG_ERROR,  # for mail only
    6001: Outcome.CONFIG_ERROR,  # no permission
    401: Outcome.CONFIG_ERROR,  # Aurora's sample tests HTTP for it; the list of 2014 used it for an empty text
    # sendcloud.net's list for SMS (2017)
    411: Outcome.RECIPIENT_INVALID,  # number empty
    412: Outcome.RECIPIENT_INVALID,  # number malformed
    413: Outcome.CONFIG_ERROR,  # duplicate number: we send one
    421: Outcome.CONFIG_ERROR,  # signature missing
    422: Outcome.CONFIG_ERROR,  # signature wrong
    431: Outcome.CONTENT_REJECTED,  # template unknown
    432: Outcome.CONTENT_REJECTED,  # template not approved
    433: Outcome.CONTENT_REJECTED,  # template id empty
    441: Outcome.CONTENT_REJECTED,  # variables malformed
    451: Outcome.CONFIG_ERROR,  # 451, 452: scheduled time, which we do not send
    452: Outcome.CONFIG_ERROR,
    TIMESTAMP_ERROR: Outcome.CONFIG_ERROR,  # timestamp out of window
    471: Outcome.CONFIG_ERROR,  # user unknown
    472: Outcome.CONFIG_ERROR,  # user empty
    473: Outcome.CONFIG_ERROR,  # no permission: free user
    474: Outcome.CONFIG_ERROR,  # user unknown
    481: Outcome.CONTENT_REJECTED,  # 481, 482: numbers and variables do not match
    482: Outcome.CONTENT_REJECTED,
    483: Outcome.CONTENT_REJECTED,  # a variable is longer than 32 characters
    496: Outcome.RECIPIENT_THROTTLED,  # too many messages to this number in a minute
    498: Outcome.RECIPIENT_THROTTLED,  # too many messages to this number in a day
    499: Outcome.FUNDS,  # quota insufficient
    501: Outcome.TRANSIENT,  # server exception: listed as a refusal
    601: Outcome.CONFIG_ERROR,  # no permission
}

ACCOUNT_ERRORS: Final = frozenset({40005, 6001, 401, 422, 471, 473, 474, 601})
"""Codes of `config_error` that certainly concern the account, so that its circuit opens at once.

The others concern a single request.
"""

NUMBER_REFUSALS: Final[tuple[tuple[str, Outcome], ...]] = (
    # `items` gives the reason why one number was refused, as text only (in lower case here). The Chinese texts are
    # those of sendcloud.net; the English ones are assumed. The first match decides
    ("取消订阅", Outcome.RECIPIENT_BLOCKED),  # unsubscribed
    ("unsubscribe", Outcome.RECIPIENT_BLOCKED),
    ("黑名单", Outcome.RECIPIENT_BLOCKED),  # blacklist
    ("blacklist", Outcome.RECIPIENT_BLOCKED),
    ("unsupported", Outcome.DESTINATION_UNSUPPORTED),
    ("手机号格式", Outcome.RECIPIENT_INVALID),  # format of the number
    ("手机号不能为空", Outcome.RECIPIENT_INVALID),  # number empty
    ("format", Outcome.RECIPIENT_INVALID),
    ("余额", Outcome.FUNDS),  # balance
    ("balance", Outcome.FUNDS),
)

EVENT_STATUSES: Final[Mapping[str, DeliveryStatus | None]] = {
    # the names in the two editions of the SMSHook page, in lower case and without spaces
    "request": None,
    "requested": None,
    "deliver": DeliveryStatus.DELIVERED,
    "delivered": DeliveryStatus.DELIVERED,
    "workererror": DeliveryStatus.UNDELIVERED,
    "suppressed": DeliveryStatus.UNDELIVERED,
    "delivererror": DeliveryStatus.UNDELIVERED,
    "failed": DeliveryStatus.UNDELIVERED,
}
"""What an event says about our message. Other events do not concern one: a reply, the review of a template."""

TEMPLATE_REVIEW_EVENT: Final = "templateverify"
"""Both editions of the page have it; in one it is written with a space."""

REPLY_EVENT: Final = "reply"
"""Only the classic page has it."""

UNSUBSCRIBE_EVENT: Final = "unsubscribe"
"""Not listed for SMS: the vendor's e-mail webhooks have it. An unsubscribed number is otherwise seen as code 430."""

EVENT_ERRORS: Final[dict[int, Outcome]] = {
    **HELD_BACK_OUTCOMES,
    # SMSHook page, `statusCode` of what the carrier reported (delivererror, failed)
    500: Outcome.RECIPIENT_INVALID,  # no such number
    510: Outcome.TRANSIENT,  # line suspended
    520: Outcome.RECIPIENT_BLOCKED,  # blacklist of the carrier
    530: Outcome.TRANSIENT,  # busy
    540: Outcome.TRANSIENT,  # no answer
    550: Outcome.CONTENT_REJECTED,  # template blocked
    560: Outcome.TRANSIENT,  # handset
    570: Outcome.TRANSIENT,  # out of coverage
    580: Outcome.TRANSIENT,  # switched off
    590: Outcome.TRANSIENT,  # other
}
"""A code that is not listed is `transient`: undelivered, and another gateway may be used."""


def unlisted_status(code: int) -> Outcome:
    """Return the outcome of a code that no list has: a server error may follow the send, any other is a refusal."""
    return Outcome.AMBIGUOUS if str(code).startswith("5") else Outcome.CONFIG_ERROR


def number_refusal(error_text: str) -> Outcome:
    """Return the outcome of the refusal of one number; an unknown reason is `transient`: another gateway may send."""
    error_text = error_text.lower()
    unlisted = Outcome.DESTINATION_UNSUPPORTED if describes_unsupported_destination(error_text) else Outcome.TRANSIENT
    return next((outcome for fragment, outcome in NUMBER_REFUSALS if fragment in error_text), unlisted)

"""Result codes of the SMS Hub: HTTP statuses and error texts.

The hub's documents list no error. The statuses have the meaning that HTTP gives them, and the error texts are assumed:
ASP.NET, on which the hub runs, names the member of the request that it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from otp_service.domain.outcomes import Outcome
from otp_service.providers.responses import describes_unsupported_destination

__all__ = ["STATUS_OUTCOMES", "TEXT_OUTCOMES", "refusal"]

STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    # For 400 and 403 the error text decides. Any other 4xx is a refusal with an unknown meaning
    401: Outcome.CONFIG_ERROR,  # with the token of a new login
    408: Outcome.AMBIGUOUS,  # may be a proxy's, about the hub
    429: Outcome.THROTTLED,
}


def _matches(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.IGNORECASE).search


TEXT_OUTCOMES: Final[tuple[tuple[Callable[[str], object], Outcome], ...]] = (
    # Error texts of a 400 or a 403. The first match decides; opting out has precedence over every other reason
    (_matches(r"unsubscri|opted out|opt-out|blacklist|donottext|do not text"), Outcome.RECIPIENT_BLOCKED),
    (describes_unsupported_destination, Outcome.DESTINATION_UNSUPPORTED),
    (_matches(r"program|permission|authori[sz]"), Outcome.CONFIG_ERROR),
    (_matches(r"insufficient|credit|balance|funds"), Outcome.FUNDS),
    (_matches(r"phone|number|recipient"), Outcome.RECIPIENT_INVALID),
    (
        _matches(r"textmessage\.message|message field|message is|too long|length|content|empty"),
        Outcome.CONTENT_REJECTED,
    ),
)


def refusal(status: int, error_text: str) -> Outcome:
    """Return the outcome of a 400 or a 403. A 400 without a known text is about the number."""
    unknown = Outcome.RECIPIENT_INVALID if status == 400 else Outcome.CONFIG_ERROR
    outcome = next((outcome for matches, outcome in TEXT_OUTCOMES if matches(error_text)), unknown)
    if outcome is Outcome.RECIPIENT_INVALID and status == 403:  # forbidden, not malformed: another gateway may send it
        return Outcome.DESTINATION_UNSUPPORTED
    return outcome

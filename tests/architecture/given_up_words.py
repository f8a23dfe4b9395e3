"""The words that names must not use, each with the word to use instead.

The table has only words that no good name needs. Words with a second, proper meaning are not listed: `subject` of a
token, `mark` of pytest, `carrier` for a mobile network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "answer_args": "response_args",
    "answer_keep": "store_response",
    "companion": "lifespan",
    "courier": "OutboxWorker",
    "desk": "handler, or control_api",
    "doubtful": "ambiguous",
    "gateway_id": "provider_message_id",
    "gateway_close": "provider_trip",
    "gateway_done": "provider_release",
    "gateway_state": "provider_state",
    "gateway_take": "provider_acquire",
    "guess": "attempt, or code",
    "guesses": "attempts, or codes",
    "hindrance": "DeferReason",
    "idempotent_call": "IdempotencyClaim",
    "judge": "check",
    "living": "ActiveVerification",
    "once_again": "retry",
    "outlet": "MessageQueue",
    "places_taken": "slots_in_use",
    "shut_out": "exclude",
    "spend_attempt": "reserve_attempt",
    "stored_answer": "stored_response",
    "stored_answers": "stored_responses",
    "standing": "ProviderStatus",
    "standings": "provider statuses",
    "trial": "test message, or probe",
    "tried_out": "TestSendResult",
    "try_out": "send_test",
    "untake": "release",
    "vault": "VerificationCipher",
}
"""Parts of a name, in any style: `guess` is found in `_wrong_guess`, `GuessLimit` and `GUESS`, but not in `guessed`."""

NAMES: Final[Mapping[str, str]] = {
    "Call": "ScriptCall",
    "Carrier": "Dispatcher",
    "Delivered": "SendResult",
    "Dispatch": "ProviderLimiter",
    "Findings": "StoreStatus",
    "Gate": "StoreReadiness",
    "Go": "Permit",
    "Held": "Deferred",
    "Lanes": "PipelinedConnections",
    "Mistake": "ConfigError",
    "Parts": "Dependencies",
    "Receiving": "ReceiptStore",
    "Resume": "TakeOver",
    "Sending": "OutboundMessage",
    "Spent": "AttemptReserved",
    "Take": "RateLimit",
    "Tried": "TestSendResult",
    "Verdict": "HealthSignal, or a result",
    "Untake": "RateLimit.release",
    "Way": "DeliveryState",
    "World": "RunningService",
    "WorldMaker": "ServiceFactory",
    "SHUT": "TRIP",
    "NumberHasher": "KeyedHasher",
    "peers": "integrations",
    "kit": "a name that says what the module holds",
    "need": "require_scope",
    "repeatable": "idempotent_send",
    "take": "acquire",
    "tells": "reports_delivery",
    "world": "service, or running_service",
}
"""Whole names, case-sensitive, with or without a leading underscore."""

PHRASES: Final[Mapping[str, str]] = {
    "anew": "again, or reset",
    "for ever": "permanently",
    "in vain": "without effect",
    "so many": "this many, or the number's name",
    "told apart": "distinguished",
    "what came before": "the earlier ones",
    "whose affair": "a word for what it is",
}
"""Phrases that no docstring, comment or text of the service uses, in Python and Lua."""

NOT_YET: Final[Mapping[str, frozenset[str]]] = {}
"""Words that are still in use, with their files. Only remove entries."""

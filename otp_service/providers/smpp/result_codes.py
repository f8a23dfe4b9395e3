"""`command_status` of SMPP 3.4 and what it means for a message, and the states of a delivery receipt.

Sources: SMPP 3.4 Issue 1.2, table 5-2 (command_status), 5.2.28 (message_state) and appendix B (receipts); rows from
elsewhere name their source. Statuses from 0x400 are of the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome

__all__ = [
    "ACCOUNT_ERRORS",
    "ALREADY_BOUND",
    "BIND_OUTCOMES",
    "INVALID_COMMAND_ID",
    "INVALID_PARAMETERS",
    "MESSAGE_STATES",
    "NOT_BOUND",
    "OK",
    "RECEIPT_STATES",
    "STATUS_OUTCOMES",
    "TEMPORARY_ERROR",
]

OK: Final = 0x00
INVALID_COMMAND_ID: Final = 0x03
NOT_BOUND: Final = 0x04
ALREADY_BOUND: Final = 0x05
TEMPORARY_ERROR: Final = 0x64
INVALID_PARAMETERS: Final = 0xC2

STATUS_OUTCOMES: Final[Mapping[int, Outcome]] = {
    # a message that the SMSC refuses was not accepted: submit_sm_resp (4.4.2) carries an error or a message id
    0x01: Outcome.CONTENT_REJECTED,  # ESME_RINVMSGLEN, message length
    0x02: Outcome.CONFIG_ERROR,  # ESME_RINVCMDLEN, command length
    INVALID_COMMAND_ID: Outcome.CONFIG_ERROR,  # ESME_RINVCMDID
    NOT_BOUND: Outcome.TRANSIENT,  # ESME_RINVBNDSTS: the SMSC takes the session for unbound, and it is bound again
    0x06: Outcome.CONFIG_ERROR,  # ESME_RINVPRTFLG, priority
    0x07: Outcome.CONFIG_ERROR,  # ESME_RINVREGDLVFLG, registered delivery
    0x08: Outcome.TRANSIENT,  # ESME_RSYSERR, system error
    0x0A: Outcome.CONFIG_ERROR,  # ESME_RINVSRCADR: the sender is not allowed
    0x0B: Outcome.RECIPIENT_INVALID,  # ESME_RINVDSTADR
    0x14: Outcome.THROTTLED,  # ESME_RMSGQFUL, message queue full
    0x15: Outcome.CONFIG_ERROR,  # ESME_RINVSERTYP, service type
    0x43: Outcome.CONFIG_ERROR,  # ESME_RINVESMCLASS: no user data header, see `long_messages`
    0x45: Outcome.TRANSIENT,  # ESME_RSUBMITFAIL, submission failed
    0x48: Outcome.CONFIG_ERROR,  # ESME_RINVSRCTON
    0x49: Outcome.CONFIG_ERROR,  # ESME_RINVSRCNPI
    0x50: Outcome.CONFIG_ERROR,  # ESME_RINVDSTTON
    0x51: Outcome.CONFIG_ERROR,  # ESME_RINVDSTNPI
    0x53: Outcome.CONFIG_ERROR,  # ESME_RINVSYSTYP
    0x58: Outcome.THROTTLED,  # ESME_RTHROTTLED: the account's rate is exceeded
    0x61: Outcome.CONFIG_ERROR,  # ESME_RINVSCHED, delivery time
    0x62: Outcome.CONFIG_ERROR,  # ESME_RINVEXPIRY, validity period
    0x64: Outcome.TRANSIENT,  # ESME_RX_T_APPN, temporary error
    0x65: Outcome.CONTENT_REJECTED,  # ESME_RX_P_APPN, permanent error
    0x66: Outcome.CONTENT_REJECTED,  # ESME_RX_R_APPN, rejected
    0xC0: Outcome.CONFIG_ERROR,  # ESME_RINVOPTPARSTREAM: the optional parameters, see `long_messages`
    0xC1: Outcome.CONFIG_ERROR,  # ESME_ROPTPARNOTALLWD
    0xC2: Outcome.CONFIG_ERROR,  # ESME_RINVPARLEN
    0xC3: Outcome.CONFIG_ERROR,  # ESME_RMISSINGOPTPARAM
    0xC4: Outcome.CONFIG_ERROR,  # ESME_RINVOPTPARAMVAL
    # Vendors that use other numbers for a status of the table (smpp.io and public clients)
    0x16: Outcome.CONFIG_ERROR,  # service type
    0x4A: Outcome.CONFIG_ERROR,  # type of number of the recipient
    0x4B: Outcome.CONFIG_ERROR,  # numbering plan of the recipient
    0x4D: Outcome.CONFIG_ERROR,  # system type
}
"""A status that is not listed is `ambiguous`: 0xFF (unknown error), 0xFE (delivery failure) and the vendors' own."""

ACCOUNT_ERRORS: Final = frozenset({0x0D, 0x0E, 0x0F})
"""Statuses of a bind that certainly concern the account, so that its circuit opens at once."""

BIND_OUTCOMES: Final[Mapping[int, Outcome]] = {
    NOT_BOUND: Outcome.CONFIG_ERROR,  # ESME_RINVBNDSTS
    ALREADY_BOUND: Outcome.TRANSIENT,  # ESME_RALYBND: another process holds the only bind of the account
    0x08: Outcome.TRANSIENT,  # ESME_RSYSERR
    0x0D: Outcome.CONFIG_ERROR,  # ESME_RBINDFAIL: often an address that is not allowed
    0x0E: Outcome.CONFIG_ERROR,  # ESME_RINVPASWD
    0x0F: Outcome.CONFIG_ERROR,  # ESME_RINVSYSID
    0x53: Outcome.CONFIG_ERROR,  # ESME_RINVSYSTYP
    0x58: Outcome.THROTTLED,  # ESME_RTHROTTLED: too many binds in a short time
    0x64: Outcome.TRANSIENT,  # ESME_RX_T_APPN
}
"""The outcome of the messages that wait for a bind that is refused; another status is a `config_error`.

Nothing was sent, so no outcome is ambiguous.
"""

MESSAGE_STATES: Final[Mapping[int, DeliveryStatus | None]] = {
    1: None,  # ENROUTE
    2: DeliveryStatus.DELIVERED,
    3: DeliveryStatus.UNDELIVERED,  # EXPIRED
    4: DeliveryStatus.UNDELIVERED,  # DELETED
    5: DeliveryStatus.UNDELIVERED,  # UNDELIVERABLE
    6: None,  # ACCEPTED: SMSCs report with it that a message is on its way
    7: None,  # UNKNOWN
    8: DeliveryStatus.UNDELIVERED,  # REJECTED
}
"""The parameter message_state. An undelivered message may be sent by another gateway: `err` is the operator's own."""

RECEIPT_STATES: Final[Mapping[str, int]] = {
    "ENROUTE": 1,
    "DELIVRD": 2,
    "EXPIRED": 3,
    "DELETED": 4,
    "UNDELIV": 5,
    "ACCEPTD": 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
    # Public clients: SMSCs that spell the words out, cut to 7 letters
    "DELIVER": 2,
    "ACCEPTE": 6,
    "REJECTE": 8,
    "FAILED": 5,
}
"""`stat` of a receipt's text, of which the first 7 letters count."""

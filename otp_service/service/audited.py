"""Actions of operators that leave a line in the audit log, whatever their outcome."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from otp_service.domain.errors import Reason, Refused
from otp_service.observability.audit import AUDIT, AuditUnavailable, in_audit_thread

__all__ = ["AuditedAction", "audited"]

RETRY_MS = 5_000


@dataclass(slots=True)
class AuditedAction:
    """The content of the audit line: the action sets its `result`, and may add facts."""

    result: str = Reason.INTERNAL_ERROR.value
    facts: dict[str, str | int | list[str]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def audited(
    action: str, *, actor: str, tenant: str = "", subject: str = "", masked: Mapping[str, str] | None = None
) -> AsyncIterator[AuditedAction]:
    """Write one line at the end of the block; see `AuditLog.record`.

    Raises:
        Refused: `store_unavailable`, before the block: the audit log is required and cannot be written.
    """
    try:
        await in_audit_thread(AUDIT.check)
    except AuditUnavailable:
        detail = "Nothing was done, because the audit log cannot be written: retry, and check its disk."
        raise Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=RETRY_MS) from None
    line = AuditedAction()
    try:
        yield line
    except Refused as refused:
        line.result = refused.reason.value
        raise
    finally:
        result, facts = line.result, line.facts
        await in_audit_thread(
            partial(
                AUDIT.record, action, actor=actor, result=result, tenant=tenant, subject=subject, masked=masked, **facts
            )
        )

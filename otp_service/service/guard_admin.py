"""What operators see of the guard against SMS pumping and change by hand, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.guard import GuardPolicy
from otp_service.domain.guard_counts import ALL_COUNTRIES_SCOPE
from otp_service.domain.guard_report import MAX_DECISIONS, GuardReport, GuardReports
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.service.audited import audited

__all__ = ["GuardAdmin"]


class GuardAdmin:
    """The guard of the whole service. Every method may raise `Refused` (`store_unavailable`)."""

    def __init__(
        self,
        reports: GuardReports,
        policy: GuardPolicy,
        countries: Iterable[str],
        operator_tenants: Collection[str],
        *,
        denies: bool,
    ) -> None:
        """Show the scopes of `countries`, to which any tenant may send; `ALL_COUNTRIES` stands for all.

        Args:
            reports: The guard in the store.
            policy: The thresholds of the rules.
            countries: ISO 3166 alpha-2 codes.
            operator_tenants: The tenants whose API keys with the scope `admin` may use the guard of all tenants.
            denies: Whether any tenant is in the mode `deny`: in other modes an open breaker stops nothing.
        """
        allowed = set(countries)
        self._reports = reports
        self._policy = policy
        self._operator_tenants = operator_tenants
        self._denies = denies
        self._scopes = [ALL_COUNTRIES_SCOPE, *sorted(SUPPORTED_COUNTRIES if ALL_COUNTRIES in allowed else allowed)]

    def check_operator(self, tenant: str) -> None:
        """Check that keys of a tenant may use the guard, which all tenants share; raises `Refused`."""
        if tenant not in self._operator_tenants:
            detail = "Use an API key of a tenant that is listed in `operator_tenants` of the table `[guard]`."
            raise Refused(Reason.SCOPE_MISSING, detail)

    @staticmethod
    def parse_scope(text: str) -> str | None:
        """Return the scope that a text names in any case: a country, or all countries; None: it is neither."""
        if not text.isascii():  # "ß" in upper case is SS, the code of South Sudan
            return None
        if text.lower() == ALL_COUNTRIES_SCOPE:
            return ALL_COUNTRIES_SCOPE
        return text.upper() if text.upper() in SUPPORTED_COUNTRIES else None

    async def overview(self, *, hours: int, decisions: int) -> GuardReport:
        """Read the newest decisions, and the scopes that have counts of the last hours or an open breaker."""
        report = await self._reports.report(self._scopes, hours=hours, decisions=decisions)
        return GuardReport(report.decisions, {name: one for name, one in report.scopes.items() if one.is_used})

    async def scope(self, scope: str, *, hours: int, decisions: int) -> GuardReport:
        """Read one scope, and the newest decisions in it."""
        report = await self._reports.report([scope], hours=hours, decisions=MAX_DECISIONS if decisions else 0)
        chosen = [one for one in report.decisions if scope in (one.decision.country, ALL_COUNTRIES_SCOPE)]
        return GuardReport(chosen[:decisions], report.scopes)

    async def open_breaker(self, scope: str, seconds: int | None, *, actor: str, tenant: str = "") -> int:
        """Open a breaker for some seconds, by default as long as it opens by itself; return until when, in ms.

        It then behaves as if it had opened by itself: probes pass, and close it if enough of them are verified. An
        audit line is written whatever the outcome; `actor` is the id of an API key, or "cli".

        Raises:
            Refused: `request_malformed`, when by the config an open breaker would stop nothing.
        """
        chosen = self._policy.breaker.open_seconds if seconds is None else seconds
        async with audited("open_breaker", actor=actor, tenant=tenant) as line:
            line.facts.update(scope=scope, seconds=chosen)
            self._check_effect()
            until_ms = await self._reports.open_breaker(scope, self._policy, chosen * 1000)
            line.result = "opened"
            return until_ms

    async def close_breaker(self, scope: str, *, actor: str, tenant: str = "") -> bool:
        """Close a breaker and reset its counts; return whether it had any state. An audit line is written."""
        async with audited("close_breaker", actor=actor, tenant=tenant) as line:
            line.facts["scope"] = scope
            had_state = await self._reports.close_breaker(scope, self._policy)
            line.result = "closed" if had_state else "had_no_state"
            return had_state

    def _check_effect(self) -> None:
        """Check that an open breaker stops messages by the config; raises `Refused` (`request_malformed`)."""
        if not self._policy.breaker.conversion:
            detail = "Set `conversion` in the table `[guard.breaker]` to more than 0: it turns all breakers off."
        elif not self._denies:
            detail = 'Set `mode = "deny"` in the table `[guard]`: an open breaker stops only tenants in this mode.'
        else:
            return
        raise Refused(Reason.REQUEST_MALFORMED, detail, field_errors=(FieldError("/state", detail),))

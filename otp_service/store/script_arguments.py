"""How windows and the lock-out are told to the scripts."""

from __future__ import annotations

from otp_service.domain.limits import Lockout, Window

__all__ = ["lockout_text", "windows_text"]


def windows_text(windows: tuple[Window, ...]) -> str:
    """Write windows the way `_window.lua` reads them: counts and milliseconds."""
    return " ".join(f"{window.count} {window.seconds * 1000}" for window in windows)


def lockout_text(lockout: Lockout) -> str:
    """Write a lock-out the way `_lockout.lua` reads it: milliseconds, and the wrong codes in a row."""
    return f"{lockout.first_seconds * 1000} {lockout.longest_seconds * 1000} {lockout.max_failures}"

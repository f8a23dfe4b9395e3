"""How windows are told to the scripts."""

from __future__ import annotations

from otp_service.domain.limits import Window

__all__ = ["windows_text"]


def windows_text(windows: tuple[Window, ...]) -> str:
    """Write windows the way `_window.lua` reads them: counts and milliseconds."""
    return " ".join(f"{window.count} {window.seconds * 1000}" for window in windows)

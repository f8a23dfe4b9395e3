"""Which inbound messages opt a number out or in."""

from __future__ import annotations

import pytest

from otp_service.domain.opt_out import OptOutAction, OptOutWords

OUT, IN = OptOutAction.OPT_OUT, OptOutAction.OPT_IN


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("STOP", OUT),
        ("stop", OUT),
        (" Stop.\n", OUT),
        ("\uff33\uff34\uff2f\uff30", OUT),  # full-width
        ("\u200bSTOP\u200b!", OUT),
        ("Berhenti", OUT),
        ("UNREG OTP", OUT),
        ("unsubscribe me please", OUT),
        ("Stop sending me these", None),  # four words are a sentence, which a person must read
        ("don't stop", None),
        ("STOPPED", None),
        ("stop" + " " * 200, None),
        ("MULAI", IN),
        ("start!", IN),
        ("start now", None),
        ("Yes", IN),
        ("", None),
        ("...", None),
        ("123456", None),
        ("x" * 100_000, None),
    ],
)
def test_words(text: str, action: OptOutAction | None) -> None:
    """Case, width, invisible characters and punctuation do not matter; a longer message is not a command."""
    assert OptOutWords().action_of(text) is action


def test_configured_words() -> None:
    """The configured words replace the default ones."""
    words = OptOutWords(["Abmelden", "\u9000\u8ba2"], ["Anmelden"])
    texts = ("abmelden", "\u9000\u8ba2", "ANMELDEN", "STOP", "START")
    assert [words.action_of(text) for text in texts] == [OUT, OUT, IN, None, None]

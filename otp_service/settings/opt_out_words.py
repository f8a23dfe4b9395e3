"""The table `opt_outs` of the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from otp_service.domain.opt_out import DEFAULT_START_WORDS, DEFAULT_STOP_WORDS, normalize_word
from otp_service.providers.config_fields import Table
from otp_service.providers.config_parsing import Finding, quoted
from otp_service.settings.checked_values import valid_items
from otp_service.settings.field_types import OptOutWordList

__all__ = ["OptOuts"]


class OptOuts(Table, frozen=True, kw_only=True):
    """Which inbound messages opt a number out, and which end that. A message is compared without case.

    A message that begins with a stop word, and has at most three words, opts its sender out for 400 days, for all
    tenants. A message that is one start word ends it.
    """

    stop_words: OptOutWordList = DEFAULT_STOP_WORDS
    start_words: OptOutWordList = DEFAULT_START_WORDS

    def cross_check(self) -> Iterator[Finding]:
        """Require that no word has both meanings."""
        stops = {normalize_word(word) for _, word in valid_items(self.stop_words)}
        for index, word in valid_items(self.start_words):
            if normalize_word(word) in stops:
                yield ("start_words", index), f"{quoted(word)} is a stop word", "a word with one meaning"

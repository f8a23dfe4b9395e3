# ruff: noqa: RUF001 - the texts have the punctuation of their languages
"""The built-in templates that name a transaction, by locale (in lower case).

Each begins with the brand and the code, so that the amount is not taken for the code, and names the amount, the
currency and the payee. Those in GSM-7 are one SMS segment with a brand of 20 characters, a code of 10
digits, an amount of 12 and a payee of 20 characters.

Arabic, Hindi and Thai have none. In Arabic a second number beside the code would be read in another order. A tenant may
have its own for each language; otherwise the text is in the language of the number's country, or in English.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain.templates import Template, compile_template

__all__ = ["TRANSACTION_TEXTS"]

_SOURCES: Final[Mapping[str, str]] = {
    "en": "{brand}: {code} is your code to pay {amount} {currency} to {payee}. "
    "Valid for {minutes} min. Never share it with anyone.",
    "id": "{brand}: {code} kode Anda untuk membayar {amount} {currency} ke {payee}. "
    "Berlaku {minutes} menit. Jangan berikan kepada siapa pun.",
    "de": "{brand}: {code} ist Ihr Code für die Zahlung von {amount} {currency} an {payee}. "
    "{minutes} Min. gültig. Geben Sie ihn nie weiter.",
    "es": "{brand}: {code} es tu clave para pagar {amount} {currency} a {payee}. "
    "Vence en {minutes} min. No la compartas con nadie.",
    "fil": "{brand}: {code} ang code mo para magbayad ng {amount} {currency} kay {payee}. "
    "Valid nang {minutes} minuto. Huwag itong ibigay.",
    "fr": "{brand} : {code} est votre code pour payer {amount} {currency} à {payee}. "
    "Valable {minutes} min. Ne le partagez jamais.",
    "ja": "【{brand}】認証コード：{code}（{payee}へ{amount} {currency}の支払い、{minutes}分間有効）。"
    "他人に教えないでください。",
    "ko": "[{brand}] 인증번호 {code}: {payee}에게 {amount} {currency} 결제 "
    "({minutes}분간 유효) 타인에게 알려주지 마세요",
    "ms": "{brand}: {code} kod anda untuk membayar {amount} {currency} kepada {payee}. "
    "Sah selama {minutes} minit. Jangan kongsi dengan sesiapa.",
    "pt": "{brand}: use {code} para pagar {amount} {currency} a {payee}. "
    "Expira em {minutes} min. Nunca o partilhe com ninguém.",
    "pt-br": "{brand}: use {code} para pagar {amount} {currency} a {payee}. "
    "Vale por {minutes} min. Nunca compartilhe com ninguém.",
    "vi": "{brand}: {code} là mã để thanh toán {amount} {currency} cho {payee}. Đừng chia sẻ với ai.",
    "zh-hans": "【{brand}】验证码{code}，用于向{payee}支付{amount} {currency}，{minutes}分钟内有效，请勿告知他人。",
    "zh-hant": "【{brand}】驗證碼{code}，用於向{payee}支付{amount} {currency}，{minutes}分鐘內有效，請勿告知他人。",
}

TRANSACTION_TEXTS: Final[Mapping[str, Template]] = MappingProxyType(
    {locale: compile_template(source) for locale, source in _SOURCES.items()}
)
"""The template of each language."""

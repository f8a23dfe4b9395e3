"""What a voice call says: the code, digit by digit and twice, what it is for, and never to share it.

A speech engine reads "123456" as a number. Digits with a comma and a space between them are read one by one, with a
short pause, in the language of the voice; without the space a comma is a decimal separator in most of these languages.
A pause ends every sentence, so no text begins or ends with the code.

A tenant's own templates are written to be read, not to be heard, so they are not used in calls. A purpose that is not
listed here, or a language that is not, gets the general wording, or English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from otp_service.domain.locale_lookup import for_locale

__all__ = ["FALLBACK_LOCALE", "VOICE_LOCALES", "VoiceText", "render", "voice_locale"]

FALLBACK_LOCALE: Final = "en"
DEFAULT_PURPOSE: Final = "default"

_COMMA, _ARABIC_COMMA, _IDEOGRAPHIC_COMMA = ", ", "\u060c ", "\u3001"


@dataclass(frozen=True, slots=True)
class VoiceText:
    """What is spoken, in the language of `locale`. The text is secret, and not part of the `repr`."""

    text: str
    locale: str

    def __repr__(self) -> str:
        """Show the locale only."""
        return f"VoiceText({self.locale})"


@dataclass(frozen=True, slots=True)
class _Wording:
    """The sentences of one language.

    Attributes:
        message: The whole text, with `{brand}`, `{code}` (twice), `{purpose}`, `{minutes}`.
        purposes: What the code is for, by purpose or `default`.
        minutes: A lifetime of 1 minute, and one of several, with `{minutes}`.
        comma: What separates digits.
    """

    message: str
    purposes: Mapping[str, str]
    minutes: tuple[str, str]
    comma: str = _COMMA


def render(brand: str, code: str, minutes: int, purpose: str, locale: str) -> VoiceText:
    """Return what a call says.

    Args:
        brand: The tenant's brand. It is inserted as it is: an adapter escapes the text for its gateway.
        code: The code.
        minutes: How long the code is valid.
        purpose: What the code is for.
        locale: A language tag; see `voice_locale`.
    """
    spoken = voice_locale(locale)
    wording = _WORDINGS[spoken]
    values = {
        "brand": brand,
        "code": wording.comma.join(code),
        "purpose": wording.purposes.get(purpose, wording.purposes[DEFAULT_PURPOSE]),
        "minutes": wording.minutes[minutes != 1].replace("{minutes}", str(minutes)),
    }
    return VoiceText(_insert(wording.message, values), spoken)


def voice_locale(locale: str) -> str:
    """Return the locale of the text for a language tag such as `de-AT`, `zh_TW` or `in`; English for unknown ones."""
    return for_locale(_LOCALES, locale) or FALLBACK_LOCALE


def _insert(message: str, values: Mapping[str, str]) -> str:
    """Insert the values. An inserted value is not parsed again, so a brand spelled `{code}` is spoken literally."""
    parts = message.replace("}", "{").split("{")
    return "".join(values[part] if index % 2 else part for index, part in enumerate(parts))


def _purposes(default: str, login: str, registration: str, password_reset: str) -> Mapping[str, str]:
    return {DEFAULT_PURPOSE: default, "login": login, "registration": registration, "password_reset": password_reset}


_WORDINGS: Final[Mapping[str, _Wording]] = MappingProxyType(
    {
        "en": _Wording(
            "Hello. This is {brand}. Your code {purpose} is: {code}. Once more: {code}. {minutes} "
            "Never share this code with anyone.",
            _purposes("for verification", "to log in", "to create your account", "to reset your password"),
            ("It is valid for 1 minute.", "It is valid for {minutes} minutes."),
        ),
        "id": _Wording(
            "Halo. Ini {brand}. Kode {purpose} Anda adalah: {code}. Sekali lagi: {code}. {minutes} "
            "Jangan berikan kode ini kepada siapa pun.",
            _purposes("verifikasi", "masuk", "pendaftaran akun", "atur ulang kata sandi"),
            ("Berlaku selama {minutes} menit.",) * 2,
        ),
        "de": _Wording(
            "Hallo. Hier ist {brand}. Ihr Code {purpose} lautet: {code}. Noch einmal: {code}. {minutes} "
            "Geben Sie diesen Code niemals weiter.",
            _purposes(
                "zur Bestätigung", "zum Anmelden", "zum Anlegen Ihres Kontos", "zum Zurücksetzen Ihres Passworts"
            ),
            ("Er ist 1 Minute gültig.", "Er ist {minutes} Minuten gültig."),
        ),
        "ko": _Wording(
            "안녕하세요. {brand}입니다. {purpose} 코드는 다음과 같습니다. {code}. 다시 한번 말씀드립니다. {code}. "
            "{minutes} 이 코드를 누구에게도 알려 주지 마세요.",
            _purposes("인증", "로그인", "계정 만들기", "비밀번호 재설정"),
            ("유효 시간은 {minutes}분입니다.",) * 2,
        ),
        "zh-Hans": _Wording(
            "您好。这里是{brand}。您的{purpose}验证码是: {code}。再说一遍: {code}。{minutes}请勿将验证码告诉任何人。",
            _purposes("身份", "登录", "注册", "重置密码"),
            ("有效期{minutes}分钟。",) * 2,
            _IDEOGRAPHIC_COMMA,
        ),
        "zh-Hant": _Wording(
            "您好。這裡是{brand}。您的{purpose}驗證碼是: {code}。再說一次: {code}。{minutes}請勿將驗證碼告訴任何人。",
            _purposes("身分", "登入", "註冊", "重設密碼"),
            ("有效時間{minutes}分鐘。",) * 2,
            _IDEOGRAPHIC_COMMA,
        ),
        "es": _Wording(
            "Hola. Le llamamos de {brand}. Su código {purpose} es: {code}. Otra vez: {code}. {minutes} "
            "No comparta este código con nadie.",
            _purposes(
                "de verificación", "para iniciar sesión", "para crear su cuenta", "para restablecer su contraseña"
            ),
            ("Es válido durante 1 minuto.", "Es válido durante {minutes} minutos."),
        ),
        "pt": _Wording(
            "Olá. Aqui é {brand}. O seu código {purpose} é: {code}. Mais uma vez: {code}. {minutes} "
            "Nunca compartilhe este código com ninguém.",
            _purposes("de verificação", "para entrar", "para criar a sua conta", "para redefinir a sua senha"),
            ("Ele é válido por 1 minuto.", "Ele é válido por {minutes} minutos."),
        ),
        "fr": _Wording(
            "Bonjour. Ici {brand}. Votre code {purpose} est : {code}. Encore une fois : {code}. {minutes} "
            "Ne communiquez ce code à personne.",
            _purposes(
                "de vérification",
                "pour vous connecter",
                "pour créer votre compte",
                "pour réinitialiser votre mot de passe",
            ),
            ("Il est valable 1 minute.", "Il est valable {minutes} minutes."),
        ),
        "ar": _Wording(
            "مرحبا. معك {brand}. رمز {purpose} هو: {code}. مرة أخرى: {code}. {minutes} لا تشارك هذا الرمز مع أي شخص.",
            _purposes("التحقق", "تسجيل الدخول", "إنشاء الحساب", "إعادة تعيين كلمة المرور"),
            ("مدة صلاحيته بالدقائق: {minutes}.",) * 2,  # needs none of the four plurals of Arabic
            _ARABIC_COMMA,
        ),
        "hi": _Wording(
            "नमस्ते। यह {brand} है। {purpose} के लिए आपका कोड है: {code}। एक बार फिर: {code}। {minutes} "
            "यह कोड किसी को न बताएं।",
            _purposes("सत्यापन", "लॉग इन करने", "खाता बनाने", "पासवर्ड रीसेट करने"),
            ("यह {minutes} मिनट तक मान्य है।",) * 2,
        ),
        "vi": _Wording(
            "Xin chào. Đây là {brand}. Mã {purpose} của bạn là: {code}. Xin nhắc lại: {code}. {minutes} "
            "Không chia sẻ mã này với bất kỳ ai.",
            _purposes("xác minh", "đăng nhập", "tạo tài khoản", "đặt lại mật khẩu"),
            ("Mã có hiệu lực trong {minutes} phút.",) * 2,
        ),
        "th": _Wording(
            "สวัสดี ที่นี่ {brand}. รหัสสำหรับ{purpose}ของคุณคือ: {code}. อีกครั้ง: {code}. {minutes} ห้ามบอกรหัสนี้แก่ผู้ใด.",
            _purposes("การยืนยัน", "การเข้าสู่ระบบ", "การสร้างบัญชี", "การตั้งรหัสผ่านใหม่"),
            ("ใช้ได้ภายใน {minutes} นาที.",) * 2,
        ),
        "ms": _Wording(
            "Helo. Ini {brand}. Kod {purpose} anda ialah: {code}. Sekali lagi: {code}. {minutes} "
            "Jangan kongsi kod ini dengan sesiapa pun.",
            _purposes("pengesahan", "log masuk", "pendaftaran akaun", "tetapan semula kata laluan"),
            ("Sah selama {minutes} minit.",) * 2,
        ),
        "fil": _Wording(
            "Kumusta. Ito ang {brand}. Ang code mo {purpose} ay: {code}. Uulitin ko: {code}. {minutes} "
            "Huwag ibigay ang code na ito kahit kanino.",
            _purposes(
                "para sa beripikasyon", "para mag-log in", "para gumawa ng account", "para palitan ang iyong password"
            ),
            ("May bisa ito nang {minutes} minuto.",) * 2,
        ),
        "ja": _Wording(
            "こんにちは。{brand}です。{purpose}コードは、{code}です。もう一度申し上げます。{code}です。{minutes}"
            "このコードを誰にも教えないでください。",
            _purposes("認証", "ログイン用の", "アカウント登録用の", "パスワード再設定用の"),
            ("有効時間は{minutes}分です。",) * 2,
            _IDEOGRAPHIC_COMMA,
        ),
    }
)

_LOCALES: Final = MappingProxyType({locale: locale for locale in _WORDINGS})

VOICE_LOCALES: Final = frozenset(_WORDINGS)
"""The locales that a `VoiceText` can have."""

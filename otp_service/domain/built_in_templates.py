# ruff: noqa: RUF001, S106 - the texts have the punctuation of their languages, and password_reset is a purpose
"""The built-in templates, by locale (in lower case) and purpose.

Each begins with the brand, names its purpose, and ends with the warning never to share the code. Each is one SMS
segment with a brand of 20 characters, a code of 10 digits and two-digit minutes.

- German, English, Spanish, French, Indonesian, Malay, Filipino and Portuguese are GSM-7. Spanish and Portuguese avoid
  the words for "code" and "not", because their accents are not in GSM-7 and would leave 70 characters of 160.
- Arabic, Hindi, Japanese, Korean, Thai, Vietnamese and Chinese are UCS-2: 70 characters. Arabic, Hindi, Thai and
  Vietnamese have no room for the minutes.
- In Arabic no other number is near the code, the code stands between spaces, and no punctuation ends the text. So it
  reads the same in a line from left to right (a Latin brand comes first) and in one from right to left.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain.templates import Template, Templates, compile_template

__all__ = ["BUILT_IN"]


def _texts(end: str, **by_purpose: str) -> Mapping[str, Template]:
    """Compile the texts of a locale, which all have the same end."""
    return MappingProxyType({purpose: compile_template(text + end) for purpose, text in by_purpose.items()})


BUILT_IN: Final[Templates] = MappingProxyType(
    {
        "en": _texts(
            " Valid for {minutes} min. Never share it with anyone.",
            default="{brand}: {code} is your verification code.",
            login="{brand}: {code} is your code to log in.",
            registration="{brand}: {code} is your code to create your account.",
            password_reset="{brand}: {code} is your code to reset your password.",
        ),
        "id": _texts(
            " Berlaku {minutes} menit. Jangan berikan kepada siapa pun.",
            default="{brand}: kode verifikasi Anda {code}.",
            login="{brand}: kode masuk Anda {code}.",
            registration="{brand}: kode pendaftaran akun Anda {code}.",
            password_reset="{brand}: kode atur ulang kata sandi Anda {code}.",
        ),
        "ar": _texts(
            ". لا تشاركه مع أحد",
            default="{brand}: {code} رمز التحقق الخاص بك",
            login="{brand}: {code} رمز تسجيل الدخول",
            registration="{brand}: {code} رمز إنشاء حسابك",
            password_reset="{brand}: {code} رمز تغيير كلمة السر",
        ),
        "de": _texts(
            " {minutes} Min. gültig. Geben Sie ihn nie weiter.",
            default="{brand}: {code} ist Ihr Bestätigungscode.",
            login="{brand}: {code} ist Ihr Code zum Anmelden.",
            registration="{brand}: {code} ist Ihr Code zum Erstellen Ihres Kontos.",
            password_reset="{brand}: {code} ist Ihr Code zum Zurücksetzen des Passworts.",
        ),
        "es": _texts(
            " Vence en {minutes} min. No la compartas con nadie.",
            default="{brand}: {code} es tu clave para verificar tu identidad.",
            login="{brand}: {code} es tu clave para entrar.",
            registration="{brand}: {code} es tu clave para crear tu cuenta.",
            password_reset="{brand}: {code} es tu clave para cambiar la contraseña.",
        ),
        "fil": _texts(
            " Valid nang {minutes} minuto. Huwag itong ibigay kahit kanino.",
            default="{brand}: {code} ang verification code mo.",
            login="{brand}: {code} ang code mo para mag-log in.",
            registration="{brand}: {code} ang code mo para gumawa ng account.",
            password_reset="{brand}: {code} ang code mo para i-reset ang password.",
        ),
        "fr": _texts(
            " Valable {minutes} min. Ne le partagez jamais.",
            default="{brand} : {code} est votre code de vérification.",
            login="{brand} : {code} est votre code pour vous connecter.",
            registration="{brand} : {code} est votre code pour créer votre compte.",
            password_reset="{brand} : {code} est votre code pour réinitialiser votre mot de passe.",
        ),
        "hi": _texts(
            " किसी को न बताएं।",
            default="{brand}: {code} आपका सत्यापन OTP है।",
            login="{brand}: {code} आपका लॉगिन OTP है।",
            registration="{brand}: {code} आपका पंजीकरण OTP है।",
            password_reset="{brand}: {code} पासवर्ड रीसेट OTP।",
        ),
        "ja": _texts(
            "（{minutes}分間有効）。他人に教えないでください。",
            default="【{brand}】認証コード：{code}",
            login="【{brand}】ログインの認証コード：{code}",
            registration="【{brand}】アカウント登録の認証コード：{code}",
            password_reset="【{brand}】パスワード再設定の認証コード：{code}",
        ),
        "ko": _texts(
            " ({minutes}분간 유효) 타인에게 알려주지 마세요",
            default="[{brand}] 인증번호 {code}",
            login="[{brand}] 로그인 인증번호 {code}",
            registration="[{brand}] 회원가입 인증번호 {code}",
            password_reset="[{brand}] 비밀번호 변경 인증번호 {code}",
        ),
        "ms": _texts(
            " Sah selama {minutes} minit. Jangan kongsi dengan sesiapa.",
            default="{brand}: kod pengesahan anda {code}.",
            login="{brand}: kod log masuk anda {code}.",
            registration="{brand}: kod pendaftaran akaun anda {code}.",
            password_reset="{brand}: kod tetapan semula kata laluan anda {code}.",
        ),
        "pt": _texts(
            " Expira em {minutes} min. Nunca o partilhe com ninguém.",
            default="{brand}: use {code} para confirmar a sua identidade.",
            login="{brand}: use {code} para entrar.",
            registration="{brand}: use {code} para criar a sua conta.",
            password_reset="{brand}: use {code} para repor a sua palavra-passe.",
        ),
        "pt-br": _texts(
            " Vale por {minutes} min. Nunca compartilhe com ninguém.",
            default="{brand}: use {code} para confirmar sua identidade.",
            login="{brand}: use {code} para entrar.",
            registration="{brand}: use {code} para criar sua conta.",
            password_reset="{brand}: use {code} para redefinir sua senha.",
        ),
        "th": _texts(
            " ห้ามบอกผู้อื่น",
            default="{brand}: {code} คือรหัสยืนยันตัวตน",
            login="{brand}: {code} คือรหัสเข้าสู่ระบบ",
            registration="{brand}: {code} คือรหัสสมัครสมาชิก",
            password_reset="{brand}: {code} คือรหัสรีเซ็ตรหัสผ่าน",
        ),
        "vi": _texts(
            ". Đừng chia sẻ với ai.",
            default="{brand}: mã xác minh {code}",
            login="{brand}: mã đăng nhập {code}",
            registration="{brand}: mã đăng ký {code}",
            password_reset="{brand}: mã đổi mật khẩu {code}",
        ),
        "zh-hans": _texts(
            "，{minutes}分钟内有效，请勿告知他人。",
            default="【{brand}】您的验证码为{code}",
            login="【{brand}】您的登录验证码为{code}",
            registration="【{brand}】您的注册验证码为{code}",
            password_reset="【{brand}】您的密码重置验证码为{code}",
        ),
        "zh-hant": _texts(
            "，{minutes}分鐘內有效，請勿告知他人。",
            default="【{brand}】您的驗證碼為{code}",
            login="【{brand}】您的登入驗證碼為{code}",
            registration="【{brand}】您的註冊驗證碼為{code}",
            password_reset="【{brand}】您的密碼重設驗證碼為{code}",
        ),
    }
)

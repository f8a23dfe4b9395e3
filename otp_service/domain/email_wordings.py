"""The sentences of the e-mail with a code, by language. A language is added as one entry of `WORDINGS`.

The keys are locales; `locale_lookup` finds the best one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["DEFAULT_PURPOSE", "WORDINGS", "Wording"]

DEFAULT_PURPOSE: Final = "default"


@dataclass(frozen=True, slots=True)
class Wording:
    """The sentences of one language.

    Attributes:
        subjects: What follows the brand in the subject, by purpose or `default`.
        introductions: The line above the code, by purpose or `default`.
        minutes: A lifetime of 1 minute, and one of several, with `{minutes}`.
        warning: Not to share the code, with `{brand}`.
        unexpected: What to do if the code was not requested.
        direction: How the language is written.
    """

    subjects: Mapping[str, str]
    introductions: Mapping[str, str]
    minutes: tuple[str, str]
    warning: str
    unexpected: str
    direction: Literal["ltr", "rtl"] = "ltr"


def _purposes(default: str, login: str, registration: str, password_reset: str) -> Mapping[str, str]:
    return MappingProxyType(
        {DEFAULT_PURPOSE: default, "login": login, "registration": registration, "password_reset": password_reset}
    )


def _with_purpose(sentence: str, *purposes: str) -> Mapping[str, str]:
    """Return a sentence for each purpose: `{purpose}` is replaced."""
    return _purposes(*(sentence.replace("{purpose}", purpose) for purpose in purposes))


WORDINGS: Final[Mapping[str, Wording]] = MappingProxyType(
    {
        "en": Wording(
            _with_purpose(
                "your {purpose}",
                "verification code",
                "code to log in",
                "code to create your account",
                "code to reset your password",
            ),
            _with_purpose(
                "Use this code {purpose}:",
                "for verification",
                "to log in",
                "to create your account",
                "to reset your password",
            ),
            ("The code is valid for 1 minute.", "The code is valid for {minutes} minutes."),
            "Never share this code with anyone, not even with people who say that they are from {brand}.",
            "If you did not request this code, ignore this e-mail.",
        ),
        "id": Wording(
            _with_purpose("kode {purpose} Anda", "verifikasi", "masuk", "pendaftaran akun", "atur ulang kata sandi"),
            _with_purpose(
                "Gunakan kode ini untuk {purpose}:",
                "verifikasi",
                "masuk",
                "mendaftarkan akun Anda",
                "mengatur ulang kata sandi Anda",
            ),
            ("Kode berlaku selama {minutes} menit.",) * 2,
            "Jangan berikan kode ini kepada siapa pun, termasuk orang yang mengaku dari {brand}.",
            "Jika Anda tidak meminta kode ini, abaikan e-mail ini.",
        ),
        "de": Wording(
            _with_purpose(
                "Ihr Code {purpose}", "zur Bestätigung", "zum Anmelden", "für Ihr neues Konto", "für ein neues Passwort"
            ),
            _with_purpose(
                "Verwenden Sie diesen Code, um {purpose}:",
                "sich zu bestätigen",
                "sich anzumelden",
                "Ihr Konto anzulegen",
                "Ihr Passwort zurückzusetzen",
            ),
            ("Der Code ist 1 Minute gültig.", "Der Code ist {minutes} Minuten gültig."),
            "Geben Sie diesen Code niemals weiter, auch nicht an Personen, die sich als {brand} ausgeben.",
            "Wenn Sie diesen Code nicht angefordert haben, ignorieren Sie diese E-Mail.",
        ),
        "ko": Wording(
            _with_purpose("{purpose} 코드", "인증", "로그인", "계정 만들기", "비밀번호 재설정"),
            _with_purpose(
                "{purpose} 다음 코드를 사용하세요:",
                "인증하려면",
                "로그인하려면",
                "계정을 만들려면",
                "비밀번호를 재설정하려면",
            ),
            ("이 코드는 {minutes}분 동안 유효합니다.",) * 2,
            "{brand} 직원이라고 하는 사람을 포함해 누구에게도 이 코드를 알려 주지 마세요.",
            "이 코드를 요청하지 않았다면 이 이메일을 무시하세요.",
        ),
        "zh-Hans": Wording(
            _with_purpose("您的{purpose}验证码", "身份", "登录", "注册", "重置密码"),
            _with_purpose("请使用此验证码{purpose}：", "验证身份", "登录", "创建账户", "重置密码"),  # noqa: RUF001 - punctuation of the language
            ("验证码有效期为{minutes}分钟。",) * 2,
            "请勿将此验证码告诉任何人，包括自称来自{brand}的人。",  # noqa: RUF001 - punctuation of the language
            "如果您没有请求此验证码，请忽略此邮件。",  # noqa: RUF001 - punctuation of the language
        ),
        "zh-Hant": Wording(
            _with_purpose("您的{purpose}驗證碼", "身分", "登入", "註冊", "重設密碼"),
            _with_purpose("請使用此驗證碼{purpose}：", "驗證身分", "登入", "建立帳戶", "重設密碼"),  # noqa: RUF001 - punctuation of the language
            ("驗證碼有效時間為{minutes}分鐘。",) * 2,
            "請勿將此驗證碼告訴任何人，包括自稱來自{brand}的人。",  # noqa: RUF001 - punctuation of the language
            "如果您沒有要求此驗證碼，請忽略此郵件。",  # noqa: RUF001 - punctuation of the language
        ),
        "es": Wording(
            _with_purpose(
                "su código {purpose}",
                "de verificación",
                "para iniciar sesión",
                "para crear su cuenta",
                "para restablecer su contraseña",
            ),
            _with_purpose(
                "Use este código para {purpose}:",
                "la verificación",
                "iniciar sesión",
                "crear su cuenta",
                "restablecer su contraseña",
            ),
            ("El código es válido durante 1 minuto.", "El código es válido durante {minutes} minutos."),
            "No comparta este código con nadie, tampoco con quien diga ser de {brand}.",
            "Si no ha solicitado este código, ignore este correo.",
        ),
        "pt": Wording(
            _with_purpose(
                "seu código {purpose}",
                "de verificação",
                "para entrar",
                "para criar sua conta",
                "para redefinir sua senha",
            ),
            _with_purpose(
                "Use este código para {purpose}:", "a verificação", "entrar", "criar sua conta", "redefinir sua senha"
            ),
            ("O código é válido por 1 minuto.", "O código é válido por {minutes} minutos."),
            "Não compartilhe este código com ninguém, nem com quem diga ser de {brand}.",
            "Se você não solicitou este código, ignore este e-mail.",
        ),
        "fr": Wording(
            _with_purpose(
                "votre code {purpose}",
                "de vérification",
                "de connexion",
                "pour créer votre compte",
                "pour réinitialiser votre mot de passe",
            ),
            _with_purpose(
                "Utilisez ce code pour {purpose} :",
                "la vérification",
                "vous connecter",
                "créer votre compte",
                "réinitialiser votre mot de passe",
            ),
            ("Le code est valable 1 minute.", "Le code est valable {minutes} minutes."),
            "Ne communiquez ce code à personne, même à quelqu'un qui dit venir de {brand}.",
            "Si vous n'avez pas demandé ce code, ignorez cet e-mail.",
        ),
        "ar": Wording(
            _with_purpose(
                "رمز {purpose} الخاص بك", "التحقق", "تسجيل الدخول", "إنشاء الحساب", "إعادة تعيين كلمة المرور"
            ),
            _with_purpose(
                "استخدم هذا الرمز من أجل {purpose}:", "التحقق", "تسجيل الدخول", "إنشاء حسابك", "إعادة تعيين كلمة المرور"
            ),
            ("الرمز صالح لمدة دقيقة واحدة ({minutes}).", "مدة صلاحية الرمز بالدقائق: {minutes}."),
            "لا تشارك هذا الرمز مع أي شخص، حتى مع من يقول إنه من {brand}.",
            "إذا لم تطلب هذا الرمز، فتجاهل هذه الرسالة.",
            "rtl",
        ),
        "hi": Wording(
            _with_purpose("आपका {purpose} कोड", "सत्यापन", "लॉग इन", "खाता बनाने का", "पासवर्ड रीसेट"),
            _with_purpose(
                "{purpose} के लिए इस कोड का उपयोग करें:", "सत्यापन", "लॉग इन करने", "अपना खाता बनाने", "अपना पासवर्ड रीसेट करने"
            ),
            ("यह कोड {minutes} मिनट तक मान्य है।",) * 2,
            "यह कोड किसी को न बताएँ, उन लोगों को भी नहीं जो खुद को {brand} से बताते हैं।",
            "अगर आपने यह कोड नहीं माँगा है, तो इस ईमेल को अनदेखा करें।",
        ),
        "vi": Wording(
            _with_purpose("mã {purpose} của bạn", "xác minh", "đăng nhập", "tạo tài khoản", "đặt lại mật khẩu"),
            _with_purpose("Dùng mã này để {purpose}:", "xác minh", "đăng nhập", "tạo tài khoản", "đặt lại mật khẩu"),
            ("Mã có hiệu lực trong {minutes} phút.",) * 2,
            "Không chia sẻ mã này với bất kỳ ai, kể cả người tự nhận là từ {brand}.",
            "Nếu bạn không yêu cầu mã này, hãy bỏ qua e-mail này.",
        ),
        "th": Wording(
            _with_purpose("รหัส{purpose}ของคุณ", "ยืนยัน", "เข้าสู่ระบบ", "สร้างบัญชี", "ตั้งรหัสผ่านใหม่"),
            _with_purpose("ใช้รหัสนี้เพื่อ{purpose}:", "ยืนยัน", "เข้าสู่ระบบ", "สร้างบัญชี", "ตั้งรหัสผ่านใหม่"),
            ("รหัสนี้ใช้ได้ภายใน {minutes} นาที",) * 2,
            "ห้ามบอกรหัสนี้แก่ผู้ใด แม้แต่คนที่อ้างว่ามาจาก {brand}",
            "หากคุณไม่ได้ขอรหัสนี้ โปรดละเว้นอีเมลนี้",
        ),
        "ms": Wording(
            _with_purpose(
                "kod {purpose} anda", "pengesahan", "log masuk", "pendaftaran akaun", "tetapan semula kata laluan"
            ),
            _with_purpose(
                "Gunakan kod ini untuk {purpose}:",
                "pengesahan",
                "log masuk",
                "mendaftarkan akaun anda",
                "menetapkan semula kata laluan anda",
            ),
            ("Kod sah selama {minutes} minit.",) * 2,
            "Jangan kongsi kod ini dengan sesiapa pun, termasuk orang yang mengaku dari {brand}.",
            "Jika anda tidak meminta kod ini, abaikan e-mel ini.",
        ),
        "fil": Wording(
            _with_purpose(
                "ang iyong code {purpose}",
                "para sa beripikasyon",
                "para mag-log in",
                "para gumawa ng account",
                "para palitan ang iyong password",
            ),
            _with_purpose(
                "Gamitin ang code na ito {purpose}:",
                "para sa beripikasyon",
                "para mag-log in",
                "para gumawa ng account",
                "para palitan ang iyong password",
            ),
            ("May bisa ang code nang {minutes} minuto.",) * 2,
            "Huwag ibigay ang code na ito kahit kanino, kahit sa mga nagsasabing taga-{brand} sila.",
            "Kung hindi ka humiling ng code na ito, huwag pansinin ang e-mail na ito.",
        ),
        "ja": Wording(
            _with_purpose("{purpose}コード", "認証", "ログイン用", "アカウント登録用", "パスワード再設定用"),
            _with_purpose(
                "{purpose}には、次のコードを使用してください：",  # noqa: RUF001 - punctuation of the language
                "認証",
                "ログイン",
                "アカウントの登録",
                "パスワードの再設定",
            ),
            ("コードの有効時間は{minutes}分です。",) * 2,
            "{brand}の関係者を名乗る人を含め、誰にもこのコードを教えないでください。",
            "このコードに心当たりがない場合は、このメールを無視してください。",
        ),
    }
)

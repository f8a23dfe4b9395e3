"""Verifiers of captcha tokens and attestations: `domain.captcha.CaptchaVerifier` over the vendors' HTTP APIs."""

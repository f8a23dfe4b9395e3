"""The table of an SMTP provider in the configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from otp_service.domain.message import Channel
from otp_service.providers.config_fields import Account, CaFile, CommonProvider, Host, SecretText
from otp_service.providers.config_parsing import Finding

__all__ = ["SmtpConfig"]

TlsMode = Literal["starttls", "implicit", "none"]
_PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}

Sender = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,8}\Z",
        max_length=254,
        description="an e-mail address in ASCII",
    ),
]
SenderName = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"\A[^\x00-\x1f\x7f]+\Z", description="1 to 64 characters")
]


class SmtpConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="smtp"):
    """E-mail through an SMTP server that relays for the account (RFC 6409).

    `tls`: `starttls` (port 587), `implicit` (port 465), or `none` (port 25), which needs a host of this machine or
    `allow_plaintext`. Certificates are checked against `ca_file`, or else against the public authorities. `from` is
    the sender's address, `from_name` the name beside it (default: the tenant's brand). `ehlo_name` is the name by which
    we greet the server (default: the domain of `from`).
    """

    host: Host
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    tls: TlsMode = "starttls"
    allow_plaintext: bool = False
    ca_file: CaFile | None = None
    username: Account | None = None
    password: SecretText | None = None
    sender: Sender = field(name="from")
    from_name: SenderName | None = None
    ehlo_name: Host | None = None

    @property
    def channels(self) -> frozenset[Channel]:
        """Only e-mail."""
        return frozenset({Channel.EMAIL})

    @property
    def port_number(self) -> int:
        """The configured port, or that of the TLS mode."""
        return self.port or _PORTS[self.tls]

    @property
    def domain(self) -> str:
        """The domain of the sender's address."""
        return self.sender.rpartition("@")[2]

    @property
    def reports_delivery(self) -> bool:
        """A server reports only that it has accepted a message."""
        return False

    def cross_check(self) -> Iterator[Finding]:
        """Require TLS outside this machine, and both credentials or none."""
        if self.tls == "none" and not self.allow_plaintext and not _is_loopback(self.host):
            yield ("tls",), '"none" sends the code and the password unencrypted', "starttls; or allow_plaintext = true"
        if self.tls == "none" and self.ca_file is not None:
            yield ("ca_file",), "not allowed without TLS", 'tls = "starttls" or "implicit"'
        if self.username is None and self.password is not None:
            yield ("username",), "missing beside password", "the user of the account"
        if self.username is not None and self.password is None:
            yield ("password",), "missing beside username", "env:NAME or file:/path"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

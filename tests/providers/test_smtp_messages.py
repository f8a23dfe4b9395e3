"""E-mail: the bytes of a message, and that nothing can add a header, a line or a recipient to it."""

from __future__ import annotations

import quopri
import re
from collections.abc import AsyncIterator

import pytest

from otp_service.domain.email_texts import EMAIL_LOCALES
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.smtp import SmtpSimulator
from otp_service.sandbox.simulators.smtp_messages import InvalidMessage, read_message
from tests.providers.smtp_provider import NOW, SENDER, TO, outbound, smtp, smtp_config

ACCEPTED = SendResult(Outcome.ACCEPTED)


@pytest.fixture
async def server() -> AsyncIterator[SmtpSimulator]:
    """A simulated server that accepts every message."""
    async with SmtpSimulator(clock=lambda: NOW) as running:
        yield running


async def test_message_byte_for_byte(server: SmtpSimulator) -> None:
    """Commands, headers and both parts; only the boundary is random."""
    async with smtp(server.port) as provider:
        assert await provider.send(outbound()) == ACCEPTED

    assert server.commands == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."]
    [message] = server.messages
    raw = message.raw.decode("ascii")
    boundary = re.search(r'boundary="(.*)"', raw)
    assert boundary is not None
    head, page = raw.replace(boundary[1], "B").replace("\r\n", "\n").split("quoted-printable\nMIME-Version: 1.0\n\n")
    assert head == (
        "From: Acme <no-reply@acme.example>\n"
        "To: ana.putri+otp@example.co.id\n"
        "Subject: Acme: your code to log in\n"
        "Date: Mon, 24 Nov 2025 16:00:00 +0000\n"
        "Message-ID: <v1-ABC_7@acme.example>\n"
        "Auto-Submitted: auto-generated\n"
        "MIME-Version: 1.0\n"
        'Content-Type: multipart/alternative;\n boundary="B"\n'
        "\n"
        "--B\n"
        'Content-Type: text/plain; charset="utf-8"\n'
        "Content-Transfer-Encoding: quoted-printable\n"
        "\n" + outbound().text.replace("say that they are", "say that they are=\n") + "\n"
        "--B\n"
        'Content-Type: text/html; charset="utf-8"\n'
        "Content-Transfer-Encoding: "
    )
    assert quopri.decodestring(page.removesuffix("\n--B--\n").encode()).decode() == outbound().html
    assert (message.sender, message.to, message.html) == (SENDER, TO, outbound().html)


@pytest.mark.parametrize("locale", sorted(EMAIL_LOCALES))
async def test_every_language_arrives_unchanged(server: SmtpSimulator, locale: str) -> None:
    """Also with a brand outside ASCII: in 7 bits, with encoded headers."""
    sent = outbound("Söhne & Café ✓", locale)
    async with smtp(server.port) as provider:
        assert await provider.send(sent) == ACCEPTED

    [message] = server.messages
    assert (message.subject, message.text, message.html) == (sent.subject, sent.text, sent.html)
    assert b"From: =?utf-8?b?U8O2aG5lICYgQ2Fmw6kg4pyT?=\r\n <no-reply@acme.example>\r\n" in message.raw


async def test_name_of_the_sender_and_greeting(server: SmtpSimulator) -> None:
    """`from_name` stands in the place of the brand, and text alone is one part."""
    async with smtp(server.port, from_name='Acme, "Login"') as provider:
        assert await provider.send(outbound(html="")) == ACCEPTED

    [message] = server.messages
    assert message.raw.startswith(b'From: "Acme, \\"Login\\"" <no-reply@acme.example>\r\n')
    assert (message.html, b"multipart" in message.raw) == ("", False)


async def test_long_headers_are_folded(server: SmtpSimulator) -> None:
    """A long subject and a long name become several encoded words of at most 75 characters, and keep their spaces."""
    name = "मेरा ऐप " * 8
    sent = outbound(subject="Acme: मेरा कोड " * 13)
    async with smtp(server.port, from_name=name) as provider:
        assert await provider.send(sent) == ACCEPTED
        assert await provider.send(outbound(subject="Acme: a =?utf-8?q?b?= " + "and more " * 18)) == ACCEPTED

    first, second = server.messages
    assert first.subject == sent.subject
    assert second.subject == "Acme: a =?utf-8?q?b?= " + "and more " * 18
    assert max(map(len, first.raw.split(b"\r\n\r\n")[0].split(b"\r\n"))) <= 78


async def test_dots_are_doubled(server: SmtpSimulator) -> None:
    """A line that is one dot does not end the message."""
    text = "Acme\n\n.\n..\n.123456\n"
    async with smtp(server.port) as provider:
        assert await provider.send(outbound(text=text, html="")) == ACCEPTED
        assert await provider.send(outbound()) == ACCEPTED

    assert [message.text for message in server.messages] == [text, outbound().text]


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Acme\r\nBcc: eve@example.com"},
        {"subject": "Acme\nX: y"},
        {"subject": "Acme\u2028X: y"},
        {"subject": ""},
        {"subject": "x" * 201},
        {"brand": "Acme\r\nBcc: eve@example.com"},
        {"text": ""},
        {"text": "\0"},
        {"text": "a\rb"},
        {"text": "x" * 65_537},
        {"html": "\x1b"},
        {"html": "x" * 65_537},
    ],
)
async def test_unsafe_text_is_not_sent(server: SmtpSimulator, change: dict[str, str]) -> None:
    """It is refused before anything is built, and no connection is made."""
    async with smtp(server.port) as provider:
        assert await provider.send(outbound(**change)) == SendResult(Outcome.CONTENT_REJECTED)

    assert server.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nRCPT TO:<eve@example.com>",
        "a@b.example>\r\nDATA",
        "a@b.example, eve@example.com",
        "a b@b.example",
        "<a@b.example>",
        '"a b"@b.example',
        "a..b@b.example",
        "a@b@b.example",
        "a@localhost",
        "a@[127.0.0.1]",
        "",
        "a@" + "b." * 126 + "example",
        "+6281210100055",
        "é@b.example",
    ],
)
async def test_other_texts_than_an_address_are_not_written(server: SmtpSimulator, address: str) -> None:
    """Only a dot-atom in ASCII and a domain reach the server."""
    async with smtp(server.port) as provider:
        assert await provider.send(outbound(to=address)) == SendResult(Outcome.RECIPIENT_INVALID)

    assert server.connections == 0


async def test_domain_is_written_as_a_labels(server: SmtpSimulator) -> None:
    """In the envelope and in the header."""
    async with smtp(server.port) as provider:
        assert await provider.send(outbound(to="Ana@BÜCHER.example")) == ACCEPTED

    assert server.messages[0].to == "Ana@xn--bcher-kva.example"


async def test_simulator_refuses_other_messages(server: SmtpSimulator) -> None:
    """The simulator checks each byte, so a message that it accepts is the documented one."""
    async with smtp(server.port) as provider:
        await provider.send(outbound())
    [message] = server.messages
    changes = [
        (b"\r\n", b"\n"),
        (b"Acme: your", "Acmé: your".encode()),
        (b"Message-ID: <", b"Message-ID: "),
        (b"Auto-Submitted: auto-generated\r\n", b""),
        (b"Date:", b"Date: Mon, 24 Nov 2025 16:00:00 +0000\r\nDate:"),
        (b"To: ana", b"To: eve@example.com, ana"),
        (b"From: Acme <no-reply@", b"From: Acme <other@"),
        (b"multipart/alternative", b"multipart/mixed"),
        (b"text/html", b"text/plain"),
        (b"Use this", b"x" * 999),
    ]
    for old, new in changes:
        changed = message.raw.replace(old, new, 1)
        assert changed != message.raw
        with pytest.raises(InvalidMessage):
            read_message(changed, SENDER, TO, 1, message.at)


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_default_ports(tls: str, port: int) -> None:
    """RFC 6409, RFC 8314 and RFC 5321."""
    config = smtp_config(1, tls=tls)
    assert smtp_config(0, tls=tls).port_number == port  # 0 stands for a port that is not configured
    assert (config.port_number, config.domain) == (1, "acme.example")

"""A double of a mail server (RFC 5321, 3207, 4954): what it was handed, and how it replies."""

import asyncio
import contextlib
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer:
    """It offers STARTTLS where it has a certificate, and takes mail only after a login where it has a password."""

    def __init__(self, context: ssl.SSLContext | None = None, password: str = "") -> None:
        self.context = context
        self.password = password
        self.replies: dict[str, str] = {}
        """What is said to a command in place of the usual: ``RCPT`` → ``550 no``; empty: it hangs up."""
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.commands: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        is_tls = writer.get_extra_info("ssl_object") is not None

        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        say("220 a double")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            self.commands.append(word)
            if word in self.replies:
                if not self.replies[word]:
                    return
                say(self.replies[word])
            elif word == "EHLO":
                say("250-a double")
                if self.context is not None and not is_tls:
                    say("250-STARTTLS")
                if self.password:
                    say("250-AUTH PLAIN")
                say("250 8BITMIME")
            elif word == "STARTTLS":
                assert self.context is not None
                say("220 go on")
                await writer.drain()
                await writer.start_tls(self.context)
                is_tls = True
            elif word == "AUTH":
                given = b64decode(line.split()[2]).split(b"\0")[2].decode()
                say("235 welcome" if given == self.password else "535 wrong")
            elif word == "RCPT":
                to.append(line.partition("<")[2].partition(">")[0])
                say("250 ok")
            elif word == "DATA":
                say("354 go on")
                text = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                mail = message_from_bytes(text, policy=policy.default)
                assert isinstance(mail, EmailMessage)
                self.mails.append((to, mail))
                to = []
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


@contextlib.asynccontextmanager
async def mail_server(
    context: ssl.SSLContext | None = None, *, password: str = "", at_once: bool = False
) -> AsyncIterator[MailServer]:
    """Serve on loopback. ``at_once``: TLS from the first byte."""
    made = MailServer(context, password)
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0, ssl=context if at_once else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()

"""Send mail to a server, at the checked address, over TLS unless the options say otherwise."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import urlsplit

from gatepost.egress import Egress, Forbidden
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import Result
from gatepost.forward.sinks.http import why
from gatepost.forward.sinks.tls import context_for
from gatepost.wire import Delivered, Outcome, Refused, Unreachable

__all__ = ["Mail"]

_PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """A server for mail."""

    def __init__(self, told: Destination, options: NotifyOptions, secrets: Secrets, egress: Egress) -> None:
        self._told = told
        self._options = options
        self._secrets = secrets
        self._egress = egress
        parts = urlsplit(told.url)
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._ssl = context_for(told, secrets) or ssl.create_default_context()

    async def send(self, title: str, lines: Sequence[str], named: str, now: float) -> list[Result]:
        """Send one message with all lines; return the result of each line.

        ``named``: makes its ``Message-ID`` the same on each attempt.
        """
        mail = self._mail(title, "\n".join([title, *lines]), named, now)
        return [await self._send(mail)] * len(lines)

    async def _send(self, mail: EmailMessage) -> Result:
        try:
            async with asyncio.timeout(self._told.timeout_s):
                found = await self._egress.resolve(self._host, self._port, socket.AF_UNSPEC)
            # Every step on the thread has the time-out of its own: it ends by itself.
            return await asyncio.to_thread(self._hand_over, found[0]["host"], mail)
        except TimeoutError:
            return Result(outcome=Unreachable(f"no reply within {self._told.timeout_s:g} s"))
        except (Forbidden, OSError, ValueError) as error:
            return Result(outcome=Unreachable(why(error)))

    def _mail(self, title: str, message: str, named: str, now: float) -> EmailMessage:
        mail = EmailMessage()
        sender = self._options.sender or ""
        mail["From"] = sender
        mail["To"] = ", ".join(self._options.to)
        mail["Subject"] = title
        mail["Date"] = formatdate(now)
        mail["Message-ID"] = f"<{named}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message)
        return mail

    def _hand_over(self, address: str, mail: EmailMessage) -> Result:
        try:
            context = self._ssl if self._is_tls else None
            with _Smtp(self._host, self._port, address, context, self._told.timeout_s) as server:
                is_private = self._is_tls or not self._options.plain
                if not self._is_tls and is_private:
                    server.starttls(context=self._ssl)
                if self._secrets.username and is_private:
                    server.login(self._secrets.username, self._secrets.password)
                refused = server.send_message(mail)
            status = "" if not refused else f"{len(refused)} recipients were refused"
            return Result(outcome=Delivered(), status=status)
        except smtplib.SMTPNotSupportedError as error:
            reason = f"{error}; without STARTTLS mail is sent with notify.plain alone, and without a password"
            return Result(outcome=Unreachable(reason))
        except smtplib.SMTPAuthenticationError as error:
            return Result(
                outcome=Unreachable(f"{error.smtp_code}: the server refuses user name and password")
            )
        except smtplib.SMTPRecipientsRefused as error:
            code, said = max(error.recipients.values(), key=lambda one: -one[0])
            return _smtp_result(code, said)
        except smtplib.SMTPResponseException as error:
            return _smtp_result(error.smtp_code, error.smtp_error)
        except smtplib.SMTPException as error:
            return Result(outcome=Unreachable(f"it cannot be reached: {error}"[:300]))

    async def close(self) -> None:
        """Do nothing."""
        pass  # there is a connection for each message alone


def _smtp_result(code: int, said: bytes | str) -> Result:
    words = said if isinstance(said, str) else said.decode("utf-8", "replace")
    reason = f"{code}: {words[:200]}"
    outcome: Outcome = Refused(reason) if 500 <= code < 600 else Unreachable(reason)
    return Result(outcome=outcome, status=str(code))


class _Smtp(smtplib.SMTP):
    """A connection to the address that was checked, with the certificate of the name that was typed."""

    def __init__(
        self, host: str, port: int, address: str, context: ssl.SSLContext | None, timeout: float
    ) -> None:
        self._address = address
        self._context = context
        super().__init__(host, port, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((self._address, port), timeout)
        if self._context is None:
            return made
        try:
            return self._context.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise

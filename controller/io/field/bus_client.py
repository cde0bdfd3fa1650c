"""The pymodbus client of one connection, and what we change about it.

pymodbus is used for the frames and the sockets. Four things are ours because a meter for a fuse cannot do without them:

 - RTU frames are looked for by the unit and function we asked: one stray byte before an answer (RS-485 drivers that switch make them) costs
   that byte, not the answer;
 - an adapter that hears what it sends itself (RS-485 without receiver switching) repeats each request before the answer: that echo is taken
   off, else it passes for the answer to a write, which looks the same;
 - bytes that are no frame never raise inside the event loop; they are a missing answer;
 - Modbus/TLS is framed as Modbus TCP is: answers may come in pieces. pymodbus' own TLS framing takes every piece for a whole answer.

The reason why a connection failed (refused, unknown certificate, no such port) is kept for the person who has to mend it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusTlsClient
from pymodbus.framer import FramerRTU, FramerSocket, FramerType
from pymodbus.pdu import DecodePDU, ModbusPDU

from controller.config_base import ModbusLine

# pymodbus logs every lost answer as an error, once a second for a dead meter; we report state changes once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

Client = AsyncModbusTcpClient | AsyncModbusTlsClient | AsyncModbusSerialClient
BITS_PER_BYTE = 11  # start, eight bits, parity or a second stop, stop
EXCEPTION_BIT = 0x80
ECHOING = (5, 6)
"""Functions whose answer is the request once more."""


class ConnectError(Exception):
    """There is no connection. The text says why, without the address."""


class CalmSocketFramer(FramerSocket):
    """Modbus TCP frames; what is none is thrown away."""

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 pymodbus' name
        """Like pymodbus', but never raises."""
        try:
            return super().handleFrame(data, exp_devid, exp_tid)
        except Exception:  # whatever a stranger's bytes do to the decoder
            return len(data), None


class SeekingRtuFramer(FramerRTU):
    """RTU frames of an answer we know unit and function of. function: of the request under way."""

    function = 0
    _sent = b""
    _echoes = False

    def buildFrame(self, message: ModbusPDU) -> bytes:  # noqa: N802 pymodbus' name
        """The request, kept to know it again."""
        self._sent = super().buildFrame(message)
        return self._sent

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 pymodbus' name
        """The first whole frame with a right checksum from the unit asked; used bytes and its content."""
        for start in range(self._echo(data), len(data) - self.MIN_SIZE + 1):
            frame = self._frame_at(data, start, exp_devid)
            if frame is None:
                continue
            pdu = self._decoded(frame[1:-2])
            if pdu is not None:
                pdu.dev_id = frame[0]
                return start + len(frame), pdu
        return 0, None  # wait for more; the buffer is emptied before the next request

    def _echo(self, data: bytes) -> int:
        """Length of our own request before the answer. An answer to a single write is its request again: there it takes an echo heard before."""
        if not data.startswith(self._sent):
            return 0
        if self.function not in ECHOING:
            self._echoes = True
        return len(self._sent) if self._echoes else 0

    def _frame_at(self, data: bytes, start: int, unit: int) -> bytes | None:
        if (unit and data[start] != unit) or data[start + 1] & ~EXCEPTION_BIT != self.function:
            return None
        frame = data[start : start + _answer_length(data[start:])]
        is_whole = len(frame) >= self.MIN_SIZE and self.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))
        return frame if is_whole else None

    def _decoded(self, pdu: bytes) -> ModbusPDU | None:
        try:
            return self.decoder.decode(pdu)
        except Exception:  # a right checksum over nonsense
            return None


def _answer_length(data: bytes) -> int:
    """Bytes of an answer with checksum, by its function: exceptions 5, reads by their count, writes echo eight."""
    if data[1] & EXCEPTION_BIT:
        return 5
    return 5 + data[2] if data[1] <= 4 else 8


def make_client(line: ModbusLine, timeout_s: float, on_lost: Callable[[], None]) -> Client:
    """A client for one connection that is not opened yet. on_lost: called when the other end goes. Raises ConnectError."""
    settings: dict[str, Any] = {"timeout": timeout_s, "retries": 0, "reconnect_delay": 0, "trace_connect": partial(_traced, on_lost)}
    client: Client
    if line.framing == "rtu":
        client = AsyncModbusSerialClient(line.device or "", baudrate=line.baud, parity=line.parity, stopbits=line.stop_bits, **settings)
    elif line.framing == "tls":
        client = AsyncModbusTlsClient(line.host or "", port=line.port, sslctx=tls_context(line), **settings)
        create: Callable[..., Coroutine[Any, Any, Any]] = client.ctx.call_create
        client.ctx.call_create = partial(create, server_hostname=line.server_name or line.host)
    else:
        client = AsyncModbusTcpClient(line.host or "", port=line.port, framer=FramerType.SOCKET, **settings)
    is_rtu = line.framing in ("rtu", "rtu_over_tcp")
    client.ctx.framer = (SeekingRtuFramer if is_rtu else CalmSocketFramer)(DecodePDU(False))
    return client


def tls_context(line: ModbusLine) -> ssl.SSLContext:
    """Checks the device against ``ca_file`` and nothing else; shows our certificate if there is one. Raises ConnectError."""
    try:
        context = ssl.create_default_context(cafile=str(line.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if line.cert_file is not None:
            context.load_cert_chain(str(line.cert_file), str(line.key_file))
    except (OSError, ssl.SSLError) as error:
        raise ConnectError(f"is not dialled: a certificate file cannot be used ({error}); check ca_file, cert_file and key_file") from None
    return context


async def open_client(client: Client, timeout_s: float) -> None:
    """Connect. Raises ConnectError with the reason."""
    try:
        async with asyncio.timeout(timeout_s):
            transport, _ = await client.ctx.call_create()
    except (OSError, ValueError) as error:  # pyserial's errors and TimeoutError are OSErrors; ValueError: a speed the port cannot do
        client.close()
        raise ConnectError(_why(error, timeout_s)) from None
    client.ctx.transport = transport


def _why(error: OSError | ValueError, timeout_s: float) -> str:
    """The reason as the second half of a sentence that begins with the address."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that is not accepted ({error.verify_message}); check ca_file and server_name"
        case ssl.SSLError():
            return f"does not agree on TLS ({error.reason or error}); check port, cert_file and key_file"
        case ConnectionRefusedError():
            return "does not accept the connection"
        case TimeoutError():
            return f"does not accept the connection within {timeout_s:g} s"
        case socket.gaierror():
            return "is a name nobody knows"
        case FileNotFoundError() | OSError(errno=errno.ENOENT):
            return "is not there; is the adapter plugged in, is it the right name (ls /dev/serial/by-id)?"
        case PermissionError() | OSError(errno=errno.EACCES):
            return "may not be opened; the user who runs this must be in its group (ls -l, usually dialout)"
        case OSError(errno=errno.EBUSY):
            return "is in use by somebody else"
        case _:
            return f"cannot be opened ({error})"


def wire_s(line: ModbusLine, length: int) -> float:
    """How long ``length`` registers and their request are on the wire of a serial port; 0 for the others, whose gateways are part of timeout_s."""
    return (8 + 5 + 2 * length) * BITS_PER_BYTE / line.baud if line.framing == "rtu" else 0.0


def frame_gap_s(line: ModbusLine) -> float:
    """Silence between two frames of a serial line: 3.5 characters, from 19200 bit/s on 1.75 ms."""
    if line.framing != "rtu":
        return 0.0
    return 0.00175 if line.baud > 19_200 else 3.5 * BITS_PER_BYTE / line.baud


def _traced(on_lost: Callable[[], None], is_connected: bool) -> None:
    if not is_connected:
        on_lost()

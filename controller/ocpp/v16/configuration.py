"""Configuration keys of OCPP 1.6 that concern the link itself: who may know them, and who may change them.

Keys compare without case (16 9). The standard names none for the address of the central system, so every
vendor has its own: known spellings are matched loosely, and a value that is a WebSocket address gives
itself away under any name (F27). Better one key too many refused - the operator can open a window -
than a station that has gone past the fuse guard. Nothing here decides what happens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from controller.ocpp.dialect import Payload, RetryRules, SecretChange
from controller.ocpp.hiding import HIDDEN, SECRET_NAME, without_user

PASSWORD_KEY: Final = "authorizationkey"
ATTEMPTS_KEY: Final = "transactionmessageattempts"
INTERVAL_KEY: Final = "transactionmessageretryinterval"
_TAKEN: Final = ("Accepted", "RebootRequired")

_NOT_LETTERS: Final = re.compile(r"[^a-z0-9]")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_WEBSOCKET: Final = re.compile(r"\s*wss?:", re.IGNORECASE)
_MORE_SECRETS: Final = re.compile(r"passwd|pwd|psk|credential|wifikey|apnpass|pin$")

_OTHER_END: Final = re.compile(r"ntp|ftp|firmware|diagnos|log|timeserver|dns|mqtt|modbus")
"""Addresses of other services than the central system."""
_CENTRAL_END: Final = re.compile(
    r"(?:centralsystem|csms|cpms|backend|backoffice|ocpp|server|websocket|connection|remote)\w*?"
    r"(?:url|uri|address|host|endpoint|domain|fqdn|(?:ip|addr|port|path|server)\d*$)"
    r"|^(?:url|uri|host|hostname|server|endpoint|centralsystem|cs(?:url|uri|address|host))\d*$"
)
_WHO_IT_IS: Final = re.compile(r"(?:chargebox|chargepoint|chargingstation|station|ocpp|cp|cb)(?:id|identity|identifier)|identity")
_SECURITY: Final = ("securityprofile", "ocppsecurityprofile")
_SMART_CHARGING: Final = re.compile(r"(?:is|enable)?smartcharging(?:enabled?|active|supported)?")


def plain(key: Any) -> str:
    """A key in lower case with letters and digits only, so that Ocpp-Server_URL and OCPPServerUrl are one."""
    return _NOT_LETTERS.sub("", key.lower()) if isinstance(key, str) else ""


# -- what a CSMS sets -----------------------------------------------------------------------------------


def moves_station(action: str, payload: Payload) -> bool:
    """Whether a CALL changes where the station dials, as whom, or how sure it wants to be (F27)."""
    if action != "ChangeConfiguration":
        return False
    key, value = plain(payload.get("key")), payload.get("value")
    if key in _SECURITY or _WHO_IT_IS.fullmatch(key) or (isinstance(value, str) and _WEBSOCKET.match(value)):
        return True
    return bool(_CENTRAL_END.search(key)) and not _OTHER_END.search(key)


def risky(payload: Payload) -> bool:
    """Whether ChangeConfiguration takes the station out of our hands (F27), other than by a new password, see ``secret_change``."""
    key = plain(payload.get("key"))
    unreadable_password = key == PASSWORD_KEY and not isinstance(payload.get("value"), str)
    # Smart charging switched off would switch every limit off, the floor included.
    return unreadable_password or bool(_SMART_CHARGING.fullmatch(key)) or moves_station("ChangeConfiguration", payload)


def secret_change(action: str, payload: Payload) -> SecretChange | None:
    """AuthorizationKey in a ChangeConfiguration: written as hex, sent as the bytes it stands for (16S 2, OCPP-NOTES 2.1).

    A value that is no hex is taken as text, as some CSMSs and stations do (16.3).
    """
    text = payload.get("value")
    if action != "ChangeConfiguration" or plain(payload.get("key")) != PASSWORD_KEY or not isinstance(text, str):
        return None
    return SecretChange(bytes.fromhex(text) if _HEX.fullmatch(text) else text.encode("utf-8", "surrogatepass"), text)


def secret_accepted(action: str, request: Payload, result: Payload) -> bool:
    """Whether the station took the new AuthorizationKey, now or with its next boot."""
    return secret_change(action, request) is not None and result.get("status") in _TAKEN


# -- what people may see ----------------------------------------------------------------------------------


def redacted(action: str, payload: Payload) -> Payload:
    """The payload without passwords and keys; request or answer."""
    if action == "ChangeConfiguration":
        return _hidden(payload)
    if action == "GetConfiguration" and isinstance(payload.get("configurationKey"), list):
        return {**payload, "configurationKey": [_hidden(entry) if isinstance(entry, dict) else entry for entry in payload["configurationKey"]]}
    if action in ("GetDiagnostics", "UpdateFirmware", "GetLog", "SignedUpdateFirmware"):
        bare: Payload = without_user(payload)
        return bare
    return payload


def _hidden(entry: Payload) -> Payload:
    """An entry {key, value} fit to be seen."""
    if "value" not in entry:
        return entry
    key = plain(entry.get("key"))
    secret = SECRET_NAME.search(key) or _MORE_SECRETS.search(key)
    return {**entry, "value": HIDDEN if secret else without_user(entry["value"])}


# -- how often a message is repeated ------------------------------------------------------------------------


def retry_rules(action: str, request: Payload, result: Payload) -> RetryRules | None:
    """TransactionMessageAttempts and TransactionMessageRetryInterval, as accepted or as told (16 9.1)."""
    told = {plain(key): value for key, value in _values(action, request, result)}
    attempts, interval = _count(told.get(ATTEMPTS_KEY), 1), _count(told.get(INTERVAL_KEY), 0)
    if attempts is None and interval is None:
        return None
    return RetryRules(attempts, None if interval is None else float(interval))


def _values(action: str, request: Payload, result: Payload) -> Iterator[tuple[Any, Any]]:
    if action == "ChangeConfiguration" and result.get("status") in _TAKEN:
        yield request.get("key"), request.get("value")
    entries = result.get("configurationKey") if action == "GetConfiguration" else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield entry.get("key"), entry.get("value")


def _count(value: Any, lowest: int) -> int | None:
    """A whole number of at least ``lowest`` from its text; None for anything else."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and int(text) >= lowest else None

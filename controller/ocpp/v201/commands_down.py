"""What a CSMS asks in the hub's words, as a 2.0.1 station can be asked it; or the station's "no", given here (OCPP-NOTES 12.12).

Each function returns the request to send on, or the answer. What 2.0.1 merely has no place for is taken out later by ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.ocpp.hub import Payload, Reply
from controller.ocpp.v2.passing import inner, items, longer, no
from controller.ocpp.v201 import schedules, words
from controller.ocpp.v201.display import with_plain

Plain = Callable[[Payload], "Payload | Reply"]

_LONG_URL: Final = no("Rejected", "TooLargeElement", f"a 2.0.1 station takes addresses of at most {words.MAX_URL_CHARS} characters")


def _install_certificate(payload: Payload) -> Payload | Reply:
    if payload.get("certificateType") == "OEMRootCertificate":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 station has no store for OEMRootCertificate")
    if longer(payload.get("certificate"), words.MAX_CERTIFICATE_CHARS):
        return no("Rejected", "TooLargeElement", f"a 2.0.1 station takes certificates of at most {words.MAX_CERTIFICATE_CHARS} characters")
    return payload


def _certificate_signed(payload: Payload) -> Payload | Reply:
    if payload.get("certificateType") == "V2G20Certificate":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 station has no V2G20Certificate")
    return payload


def _installed_certificates(payload: Payload) -> Payload | Reply:
    asked = payload.get("certificateType")
    if not isinstance(asked, list):
        return payload
    known = [kind for kind in asked if kind != "OEMRootCertificate"]
    return {**payload, "certificateType": known} if known else no("NotFound", "NotFound", "a 2.0.1 station has no OEMRootCertificate")


def _update_firmware(payload: Payload) -> Payload | Reply:
    return _LONG_URL if longer(inner(payload, "firmware").get("location"), words.MAX_URL_CHARS) else payload


def _publish_firmware(payload: Payload) -> Payload | Reply:
    return _LONG_URL if longer(payload.get("location"), words.MAX_URL_CHARS) else payload


def _get_log(payload: Payload) -> Payload | Reply:
    if payload.get("logType") == "DataCollectorLog":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 station has no DataCollectorLog")
    return _LONG_URL if longer(inner(payload, "log").get("remoteLocation"), words.MAX_URL_CHARS) else payload


def _network_profile(payload: Payload) -> Payload | Reply:
    """Nothing of an address or a login may be left out: the station would never be heard of again."""
    data = inner(payload, "connectionData")
    if longer(data.get("ocppCsmsUrl"), words.MAX_URL_CHARS):
        return _LONG_URL
    if "identity" in data or "basicAuthPassword" in data or data.get("ocppInterface") == "Any":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 station takes no identity, no password and no interface Any in a network profile")
    apn, vpn = inner(data, "apn"), inner(data, "vpn")
    limits = (
        *((apn.get("apn"), words.MAX_URL_CHARS), (apn.get("apnUserName"), 20), (apn.get("apnPassword"), 20)),
        *((vpn.get("server"), words.MAX_URL_CHARS), (vpn.get("user"), 20), (vpn.get("group"), 20), (vpn.get("password"), 20)),
    )
    if any(longer(value, most) for value, most in limits):
        return no("Rejected", "TooLargeElement", "a 2.0.1 station takes logins of at most 20 characters in a network profile")
    # OCPP20 is what 2.0.1 calls itself here; the field is required there and means nothing any more in 2.1.
    version = data.get("ocppVersion")
    return {**payload, "connectionData": {**data, "ocppVersion": version if version in ("OCPP12", "OCPP15", "OCPP16") else "OCPP20"}}


def _trigger(payload: Payload) -> Payload | Reply:
    if payload.get("requestedMessage") in ("CustomTrigger", "SignV2G20Certificate"):
        return no("NotImplemented", "UnsupportedParam", "a 2.0.1 station has no such message to trigger")
    return payload


def _reset(payload: Payload) -> Payload | Reply:
    if payload.get("type") == "ImmediateAndResume":
        return no("Rejected", "UnsupportedParam", "a 2.0.1 station does not resume transactions after a reset")
    return payload


def _set_display(payload: Payload) -> Payload | Reply:
    message = inner(payload, "message")
    if message.get("state") in words.DISPLAY_STATES_OF_21:
        return no("NotSupportedState", "UnsupportedParam", "a 2.0.1 station shows no messages in this state")
    if inner(message, "message").get("format") == "QRCODE":
        return no("NotSupportedMessageFormat", "UnsupportedParam", "a 2.0.1 station shows no QR codes")
    made = with_plain(message, "message")
    if "message" not in made:
        return no("Rejected", "TooLargeElement", f"a 2.0.1 station shows at most {words.MAX_DISPLAY_CHARS} characters")
    return {**payload, "message": made}


def _get_displays(payload: Payload) -> Payload | Reply:
    if payload.get("state") in words.DISPLAY_STATES_OF_21:
        return no("Unknown", "NotFound", "a 2.0.1 station has no messages for this state")
    return payload


def _start(payload: Payload) -> Payload | Reply:
    return _with_profile(payload) if schedules.has_profile(payload) else payload


def _with_profile(payload: Payload) -> Payload | Reply:
    profile = inner(payload, "chargingProfile")
    why = schedules.unsayable(profile)
    return no("Rejected", *why) if why is not None else {**payload, "chargingProfile": schedules.command(profile)}


def _get_profiles(payload: Payload) -> Payload | Reply:
    """A criterion that no profile of a 2.0.1 station can meet finds none; left out it would find all."""
    wanted = dict(inner(payload, "chargingProfile"))
    if wanted.get("chargingProfilePurpose") in words.PURPOSES_OF_21:
        return no("NoProfiles", "NotFound", "a 2.0.1 station has no profiles of this purpose")
    if isinstance(wanted.get("chargingLimitSource"), list):
        known = [source for source in wanted["chargingLimitSource"] if source in words.LIMIT_SOURCES]
        if not known:
            return no("NoProfiles", "NotFound", "a 2.0.1 station has no profiles of this source")
        wanted["chargingLimitSource"] = known
    return {**payload, "chargingProfile": wanted}


def _clear_profile(payload: Payload) -> Payload | Reply:
    if inner(payload, "chargingProfileCriteria").get("chargingProfilePurpose") in words.PURPOSES_OF_21:
        return no("Unknown", "NotFound", "a 2.0.1 station has no profiles of this purpose")
    return payload


def _reserve(payload: Payload) -> Payload | Reply:
    return {**payload, "connectorType": words.connector_type(payload["connectorType"])} if "connectorType" in payload else payload


def _local_list(payload: Payload) -> Payload | Reply:
    if "localAuthorizationList" not in payload:
        return payload
    entries = [
        {**entry, "idTokenInfo": with_plain(entry["idTokenInfo"], "personalMessage")} if isinstance(entry.get("idTokenInfo"), dict) else entry
        for entry in items(payload, "localAuthorizationList")
    ]
    return {**payload, "localAuthorizationList": entries}


PLAIN: Final[dict[str, Plain]] = {
    "InstallCertificate": _install_certificate,
    "CertificateSigned": _certificate_signed,
    "GetInstalledCertificateIds": _installed_certificates,
    "UpdateFirmware": _update_firmware,
    "PublishFirmware": _publish_firmware,
    "GetLog": _get_log,
    "SetNetworkProfile": _network_profile,
    "TriggerMessage": _trigger,
    "Reset": _reset,
    "SetDisplayMessage": _set_display,
    "GetDisplayMessages": _get_displays,
    "RequestStartTransaction": _start,
    "SetChargingProfile": _with_profile,
    "GetChargingProfiles": _get_profiles,
    "ClearChargingProfile": _clear_profile,
    "ReserveNow": _reserve,
    "SendLocalList": _local_list,
}
"""Actions whose requests need more than ``fit``. SetVariables and SetVariableMonitoring are answered item by item: ``items_down``."""

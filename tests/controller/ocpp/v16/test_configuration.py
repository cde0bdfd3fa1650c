"""Configuration keys that concern the link: passwords, addresses, retries."""

from typing import Any

import pytest

from controller.ocpp.dialect import RetryRules, SecretChange
from controller.ocpp.registry import dialects

DIALECT = dialects()["ocpp1.6"]
CHANGE = "ChangeConfiguration"


def change(key: Any, value: Any = "1") -> dict[str, Any]:
    return {"key": key, "value": value}


@pytest.mark.parametrize(
    "key",
    [
        *("CentralSystemURL", "centralSystemUrl", "Central_System_URL", "CentralSystemAddress", "CentralSystemPort", "CentralSystem"),
        *("BackOfficeURL", "BackOffice-URL-wired", "BackendUrl", "backend.address", "CSMSUrl", "CsUrl", "cpms_endpoint"),
        *("OCPPServerURL", "ocpp_url", "OcppEndpoint", "OCPP-Server", "ServerURI", "ServerHost", "ServerPort", "ServerUrl1"),
        *("WebSocketServerAddress", "websocketUrl", "ConnectionUrl", "EndPoint", "Url", "Host", "Server"),
        *("SecurityProfile", "securityprofile", "ChargeBoxIdentity", "ChargePointId", "Identity", "StationID", "OCPPID"),
    ],
)
def test_keys_that_would_move_a_station_past_us(key: str) -> None:  # F27
    assert DIALECT.moves_station(CHANGE, change(key))
    assert DIALECT.risky_variables(change(key))


@pytest.mark.parametrize(
    "key",
    [
        # All keys of the standard and its security whitepaper that do not concern the connection.
        *("AllowOfflineTxForUnknownId", "AuthorizationCacheEnabled", "AuthorizeRemoteTxRequests", "BlinkRepeat", "ClockAlignedDataInterval"),
        *("ConnectionTimeOut", "ConnectorPhaseRotation", "GetConfigurationMaxKeys", "HeartbeatInterval", "LightIntensity", "LocalAuthorizeOffline"),
        *("LocalPreAuthorize", "MaxEnergyOnInvalidId", "MeterValuesAlignedData", "MeterValuesSampledData", "MeterValueSampleInterval"),
        *("MinimumStatusDuration", "NumberOfConnectors", "ResetRetries", "StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId"),
        *("StopTxnAlignedData", "StopTxnSampledData", "SupportedFeatureProfiles", "TransactionMessageAttempts", "TransactionMessageRetryInterval"),
        *("UnlockConnectorOnEVSideDisconnect", "WebSocketPingInterval", "LocalAuthListEnabled", "LocalAuthListMaxLength", "SendLocalListMaxLength"),
        *("ReserveConnectorZeroSupported", "ChargeProfileMaxStackLevel", "ChargingScheduleAllowedChargingRateUnit", "ChargingScheduleMaxPeriods"),
        *("MaxChargingProfilesInstalled", "ConnectorSwitch3to1PhaseSupported", "SupportedFileTransferProtocols", "MessageTimeout"),
        *("AdditionalRootCertificateCheck", "CertificateSignedMaxChainSize", "CertificateStoreMaxLength", "CpoName"),
        # Addresses of others.
        *("NtpServerUrl", "FTPServerAddress", "FirmwareServerUrl", "LogServerHost", "TimeServerAddress", "DNSServerIP", "", "IP"),
    ],
)
def test_other_keys_pass(key: str) -> None:
    assert not DIALECT.moves_station(CHANGE, change(key))
    assert not DIALECT.risky_variables(change(key))


@pytest.mark.parametrize("value", ["ws://elsewhere/ocpp", "wss://elsewhere", " WSS:\\\\elsewhere"])
def test_a_websocket_address_gives_itself_away_under_any_name(value: str) -> None:  # F27
    assert DIALECT.moves_station(CHANGE, change("VendorParameter42", value))


@pytest.mark.parametrize("payload", [{}, change(None), change(5, 5), change(["CentralSystemURL"]), {"key": "x"}])
def test_what_cannot_be_read_moves_nobody(payload: dict[str, Any]) -> None:
    assert not DIALECT.moves_station(CHANGE, payload)
    assert not DIALECT.risky_variables(payload)
    assert DIALECT.secret_change(CHANGE, payload) is None


def test_only_a_change_moves() -> None:
    assert not DIALECT.moves_station("GetConfiguration", {"key": ["CentralSystemURL"]})
    assert not DIALECT.moves_station("DataTransfer", change("CentralSystemURL"))


def test_switching_smart_charging_off_is_risky_but_moves_nobody() -> None:
    assert DIALECT.risky_variables(change("SmartChargingEnabled", "false"))
    assert not DIALECT.moves_station(CHANGE, change("SmartChargingEnabled", "false"))


# -- passwords ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("0123456789ABCDEF0123456789abcdef", bytes.fromhex("0123456789abcdef0123456789abcdef")),
        ("4F43415F4F4354545F61646D696E5F74657374", b"OCA_OCTT_admin_test"),
        ("ff" * 16, b"\xff" * 16),
        ("a plain password", b"a plain password"),
        ("0123456789abcde", b"0123456789abcde"),  # an odd number of digits is no hex
        ("pässword", "pässword".encode()),
        ("", b""),
    ],
)
def test_the_key_is_hex_and_its_bytes_are_the_password(text: str, password: bytes) -> None:  # trap 6
    for key in ("AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY"):
        assert DIALECT.secret_change(CHANGE, change(key, text)) == SecretChange(password, text)
    assert not DIALECT.risky_variables(change("AuthorizationKey", text))  # changed on both legs, not refused


def test_a_secret_never_shows_in_a_repr() -> None:
    assert "hunter" not in repr(DIALECT.secret_change(CHANGE, change("AuthorizationKey", "hunter hunter")))


def test_a_password_nobody_can_read_is_refused() -> None:
    assert DIALECT.risky_variables(change("AuthorizationKey", 5))
    assert DIALECT.risky_variables({"key": "AuthorizationKey"})


def test_no_other_message_sets_a_password() -> None:
    assert DIALECT.secret_change(CHANGE, change("HeartbeatInterval", "60")) is None
    assert DIALECT.secret_change("GetConfiguration", change("AuthorizationKey", "00")) is None
    assert DIALECT.secret_change(CHANGE, change("AuthorizationKey", 5)) is None


@pytest.mark.parametrize(
    ("status", "taken"), [("Accepted", True), ("RebootRequired", True), ("Rejected", False), ("NotSupported", False), (None, False)]
)
def test_the_station_has_the_password_when_it_says_so(status: Any, taken: bool) -> None:
    assert DIALECT.secret_accepted(CHANGE, change("AuthorizationKey", "00" * 16), {"status": status}) is taken
    assert not DIALECT.secret_accepted(CHANGE, change("HeartbeatInterval", "60"), {"status": status})


@pytest.mark.parametrize("key", ["AuthorizationKey", "authorizationKey", "WifiPassword", "wifi_psk", "ApnPassword", "SimPin", "VendorSecret", "pwd"])
def test_secrets_are_hidden_on_their_way_down_and_up(key: str) -> None:  # A01.FR.09/12
    assert DIALECT.redacted(CHANGE, change(key, "geheim")) == change(key, "***")
    answer = {
        "configurationKey": [{"key": key, "readonly": False, "value": "geheim"}, {"key": "HeartbeatInterval", "readonly": False, "value": "60"}]
    }
    shown = DIALECT.redacted("GetConfiguration", answer)
    assert [entry["value"] for entry in shown["configurationKey"]] == ["***", "60"]
    assert answer["configurationKey"][0]["value"] == "geheim"  # type: ignore[index]


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("GetDiagnostics", {"location": "ftp://user:geheim@host/dir"}),
        ("UpdateFirmware", {"location": "ftp://user:geheim@host/dir", "retrieveDate": "2026-11-21T16:00:00Z"}),
        ("GetLog", {"log": {"remoteLocation": "https://host/put?signature=geheim"}}),
        ("SignedUpdateFirmware", {"firmware": {"location": "sftp://user:geheim@host/fw"}}),
        (CHANGE, change("CentralSystemURL", "wss://box:geheim@host/ocpp")),
    ],
)
def test_users_in_addresses_are_hidden(action: str, payload: dict[str, Any]) -> None:
    shown = str(DIALECT.redacted(action, payload))
    assert "geheim" not in shown
    assert "***" in shown
    assert "host" in shown


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        (CHANGE, change("HeartbeatInterval", "60")),
        (CHANGE, {"status": "Accepted"}),
        ("GetConfiguration", {"key": ["AuthorizationKey"]}),
        ("GetConfiguration", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False}, 5], "unknownKey": ["x"]}),
        ("Heartbeat", {}),
    ],
)
def test_the_rest_is_shown_as_it_is(action: str, payload: dict[str, Any]) -> None:
    assert DIALECT.redacted(action, payload) == payload


# -- retries ----------------------------------------------------------------------------------------------------


def test_retries_as_set_and_as_told() -> None:
    assert DIALECT.retry_rules(CHANGE, change("TransactionMessageAttempts", "3"), {"status": "Accepted"}) == RetryRules(3, None)
    assert DIALECT.retry_rules(CHANGE, change("transactionmessageretryinterval", " 60 "), {"status": "Accepted"}) == RetryRules(None, 60.0)
    told = [
        {"key": "TransactionMessageAttempts", "readonly": False, "value": "5"},
        {"key": "TransactionMessageRetryInterval", "readonly": True, "value": "0"},
    ]
    assert DIALECT.retry_rules("GetConfiguration", {}, {"configurationKey": told}) == RetryRules(5, 0.0)


@pytest.mark.parametrize(
    ("action", "request_", "result"),
    [
        (CHANGE, change("TransactionMessageAttempts", "3"), {"status": "Rejected"}),
        (CHANGE, change("TransactionMessageAttempts", "0"), {"status": "Accepted"}),
        (CHANGE, change("TransactionMessageAttempts", "many"), {"status": "Accepted"}),
        (CHANGE, change("TransactionMessageAttempts", 3), {"status": "Accepted"}),
        (CHANGE, change("TransactionMessageRetryInterval", "-5"), {"status": "Accepted"}),
        (CHANGE, change("HeartbeatInterval", "3"), {"status": "Accepted"}),
        ("GetConfiguration", {}, {"configurationKey": [{"key": "TransactionMessageAttempts"}, 5]}),
        ("GetConfiguration", {}, {}),
        ("Reset", {}, {"status": "Accepted"}),
    ],
)
def test_what_says_nothing_about_retries(action: str, request_: dict[str, Any], result: dict[str, Any]) -> None:
    assert DIALECT.retry_rules(action, request_, result) is None

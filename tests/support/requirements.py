"""What Yardmaster's part is in each use case of OCPP, for CONFORMANCE.md. Own words; numbers as in the specifications.

Each row: number, state, what is done or why not, test files that show it (relative to tests/).
done: Yardmaster takes part in it. passes: it is between station and CSMS, and their frames go through unchanged.
no: does not apply to this product. later: not built yet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

WIRE: Final = "conformance/test_every_action.py"
POLICY: Final = "controller/link/test_policy.py"
SESSION: Final = "controller/link/test_session.py"
CRITIC: Final = "controller/link/test_session_critic.py"
OUTBOX: Final = "controller/link/test_outbox.py"
CACHE: Final = "controller/link/test_auth_cache.py"
VIEW: Final = "controller/link/test_profile_view.py"
ADMISSION: Final = "controller/link/test_admission.py"
DOOR: Final = "controller/io/links/test_stations.py"
ANSWERS: Final = "controller/ocpp/v2/test_answers.py"
REFUSALS: Final = "controller/ocpp/v2/test_refusals.py"
SECRETS: Final = "controller/ocpp/v2/test_secrets.py"
OUTAGE: Final = "controller/ocpp/v2/test_outage.py"
PROFILES: Final = "controller/ocpp/v2/test_profiles.py"
PROFILES_21: Final = "controller/ocpp/v21/test_profiles.py"
DIALECT: Final = "controller/ocpp/v2/test_dialect.py"
DIALECT_21: Final = "controller/ocpp/v21/test_dialect.py"
SCHEDULE: Final = "controller/ocpp/test_schedule.py"
FRAMES: Final = "controller/ocpp/test_rpc.py"
LEDGER: Final = "controller/ocpp/test_ledger.py"
FAULTS: Final = "faults/test_link_faults.py"
TRAPS: Final = "faults/test_traps.py"
VALUES: Final = "fuzz/test_bad_values.py"
LONG: Final = "faults/test_long_outage.py"
LIST: Final = "controller/link/test_local_list.py"
CREDENTIALS: Final = "controller/link/test_credentials.py"
TRUTH: Final = "controller/link/test_profiles.py"
NEWS: Final = "controller/link/test_limit_news.py"
DRIVER: Final = "controller/link/test_driver.py"
OVERLAY: Final = "controller/link/test_overlay.py"
REQUESTS: Final = "controller/link/test_requests.py"
UPLINK: Final = "controller/link/test_uplink.py"
OBSERVE_16: Final = "controller/ocpp/v16/test_observe.py"
ANSWERS_16: Final = "controller/ocpp/v16/test_answers.py"
CONFIGURATION_16: Final = "controller/ocpp/v16/test_configuration.py"
PROFILES_16: Final = "controller/ocpp/v16/test_profiles.py"
TOKENS_16: Final = "controller/ocpp/v16/test_tokens.py"


class Requirement(NamedTuple):
    """One row. tests: files relative to tests/."""

    number: str
    state: str
    what: str
    tests: tuple[str, ...] = ()


FRAMES_AND_LINKS: Final = (
    Requirement("P4 3.1", "done", "the station is the client; its offered list decides, never the URL", (DOOR, ADMISSION)),
    Requirement("P4 3.1.2", "done", "no common version: handshake without subprotocol, then closed", (DOOR,)),
    Requirement("P4 4.1.1", "done", "one CALL in flight per direction and connection; the rest waits", ("controller/link/test_lane.py", LEDGER)),
    Requirement("P4 4.1.3", "done", "types 5 and 6 from 2.1 on; below it unknown and never sent", (FRAMES, "fuzz/test_bad_frames.py")),
    Requirement("P4 4.1.4", "done", "our ids are UUIDs and never meet those of a CSMS", ("controller/link/test_ids.py", LEDGER)),
    Requirement("P4 4.2.3", "done", "broken frames get an error under their id, or under -1 where it cannot be read", ("fuzz/test_bad_frames.py",)),
    Requirement("P4 4.3", "done", "codes as each version spells them; any code is read", (FRAMES,)),
    Requirement("P4 5.1", "done", "compression offered and accepted on both legs", (DOOR, "controller/io/links/test_upstream.py")),
    Requirement("P4 6.2", "done", "path and query of the station are kept upstream", ("controller/io/links/test_upstream.py",)),
    Requirement("P4 6.3", "done", "a lost station closes its upstream leg; a lost CSMS is answered for, or closes the station", (SESSION,)),
    Requirement("P4 6.4", "done", "answers to our CALLs end here, those to the CSMS's go up unchanged", (LEDGER, SESSION)),
    Requirement("P4 7", "passes", "signed messages (action with the suffix -Signed) go through unread", (POLICY,)),
)

OCPP_16: Final = (
    Requirement("16 3.5-3.7", "done", "transactions, their messages kept and repeated while the CSMS is away", (OUTBOX,)),
    Requirement("16 3.13", "done", "smart charging: profiles of the CSMS are kept here and carried out within the site's limits", (VIEW, SCHEDULE)),
    Requirement("16 4.1", "done", "Authorize passes; away it comes from list and cache, and from the site's own list", (ANSWERS_16, LIST, VALUES)),
    Requirement("16 4.2", "done", "boot: accepted with real time while the CSMS is away, told to it first, repeated when it says", (FAULTS, SESSION)),
    Requirement("16 4.3", "passes", "DataTransfer of the station; Rejected while the CSMS is away", (ANSWERS_16,)),
    Requirement("16 4.4", "done", "DiagnosticsStatusNotification is kept on disk while the CSMS is away", (POLICY,)),
    Requirement("16 4.5", "done", "FirmwareStatusNotification, likewise", (POLICY,)),
    Requirement("16 4.6", "done", "heartbeats are answered here while the CSMS is away", (ANSWERS_16,)),
    Requirement("16 4.7", "done", "MeterValues are read for the site, kept on disk and thinned only where allowed", (OBSERVE_16, UPLINK, VALUES)),
    Requirement("16 4.8", "done", "StartTransaction: an id of ours while the CSMS is away, mapped to the CSMS's for good", (UPLINK, TRAPS, LONG)),
    Requirement("16 4.9", "done", "StatusNotification: after an outage the current state only", (SESSION, CRITIC)),
    Requirement("16 4.10", "done", "StopTransaction under the id of who reads it; of another station's transaction refused", (UPLINK, FAULTS)),
    Requirement("16 5.1", "passes", "CancelReservation"),
    Requirement(
        "16 5.2",
        "done",
        "ChangeAvailability passes, and is our own last means against a station that ignores its limit",
        (WIRE, "faults/test_site_faults.py"),
    ),
    Requirement(
        "16 5.3", "done", "ChangeConfiguration goes on unless it touches the link or the password", (CONFIGURATION_16, CREDENTIALS, REQUESTS)
    ),
    Requirement("16 5.4", "done", "ClearCache goes to the station, and empties our copy", (LIST,)),
    Requirement("16 5.5", "done", "ClearChargingProfile clears what is kept here", (PROFILES_16, VIEW)),
    Requirement("16 5.6", "passes", "DataTransfer of the CSMS", (WIRE,)),
    Requirement("16 5.7", "done", "GetCompositeSchedule tells the lower of the CSMS's wish and what the station has accepted", (FAULTS, PROFILES_16)),
    Requirement("16 5.8", "passes", "GetConfiguration; what it says of repeats is read", (WIRE, CONFIGURATION_16)),
    Requirement("16 5.9", "passes", "GetDiagnostics"),
    Requirement("16 5.10", "done", "GetLocalListVersion passes; another version than ours makes our copy void", (LIST,)),
    Requirement("16 5.11", "done", "RemoteStartTransaction passes; its profile stays here (16E 3.41)", (REQUESTS,)),
    Requirement("16 5.12", "done", "RemoteStopTransaction reaches the transaction it means", (REQUESTS,)),
    Requirement("16 5.13", "passes", "ReserveNow"),
    Requirement("16 5.14", "passes", "Reset; after the boot the floor is confirmed anew", (FAULTS,)),
    Requirement("16 5.15", "done", "SendLocalList passes and is kept in step, full and differential", (LIST, TOKENS_16)),
    Requirement("16 5.16", "done", "SetChargingProfile is judged, kept and answered here", (PROFILES_16, FAULTS, TRAPS)),
    Requirement("16 5.17", "passes", "TriggerMessage"),
    Requirement("16 5.18", "passes", "UnlockConnector"),
    Requirement("16 5.19", "passes", "UpdateFirmware"),
    Requirement("16S", "passes", "security whitepaper: its eleven messages go through; the password changes both legs", (WIRE,)),
    Requirement("16J", "done", "framing, subprotocol, HTTP Basic", (FRAMES, DOOR)),
)

OCPP_2: Final = (
    Requirement(
        "A00",
        "done",
        "security profiles 1 and 2 towards stations and the CSMS, passwords per station",
        (ADMISSION, DOOR, "controller/io/links/test_tls.py"),
    ),
    Requirement(
        "A01",
        "done",
        "a new password from the CSMS changes both legs, or neither, and is never shown",
        (SECRETS, CREDENTIALS, "system/test_password_change.py"),
    ),
    Requirement("A02", "passes", "certificate renewal asked for by the CSMS; SignCertificate is Rejected while it is away", (ANSWERS,)),
    Requirement("A03", "passes", "certificate renewal started by the station", (ANSWERS,)),
    Requirement("A04", "done", "security events are kept on disk while the CSMS is away", (POLICY,)),
    Requirement("A05", "done", "a change of the security profile would move the station and is refused", (SECRETS,)),
    Requirement("B01", "done", "boot accepted with real time while the CSMS is away, told to it on its return", (ANSWERS, SESSION, FAULTS)),
    Requirement("B02", "done", "Pending passes, and its interval is kept; without a trusted clock it is our own answer", (ANSWERS, FAULTS)),
    Requirement("B03", "done", "Rejected passes, and the station gets no commands of ours", (SESSION, FAULTS)),
    Requirement("B04", "done", "after an outage the current state of the connectors goes up", (SESSION,)),
    Requirement("B05", "done", "SetVariables goes on unless it touches the link, the password or our limits", (SECRETS, REFUSALS)),
    Requirement("B06", "passes", "GetVariables"),
    Requirement("B07", "passes", "base reports"),
    Requirement("B08", "passes", "custom reports"),
    Requirement(
        "B09",
        "done",
        "SetNetworkProfile is refused: it would lead the station past the fuse guard, unless the operator opened a window",
        (POLICY, REFUSALS, REQUESTS),
    ),
    Requirement("B10", "done", "migration to another CSMS is done in site.yaml; NetworkConfigurationPriority is refused", (SECRETS, REQUESTS)),
    Requirement("B11", "passes", "reset without a transaction"),
    Requirement("B12", "passes", "reset with a transaction; after the boot the floor is confirmed anew", (SESSION,)),
    Requirement("B13", "passes", "2.1: resuming after a reset"),
    Requirement("C01", "done", "authorisation passes; away it comes from what the CSMS said before", (ANSWERS, CACHE)),
    Requirement("C02", "done", "start button: NoAuthorization is accepted", (ANSWERS,)),
    Requirement("C03", "passes", "cards at the station's own reader"),
    Requirement("C04", "passes", "PIN codes"),
    Requirement("C05", "passes", "remote starts"),
    Requirement("C06", "passes", "local ids"),
    Requirement("C07", "done", "contracts pass; one that only the CSMS can check is Invalid while it is away", (ANSWERS,)),
    Requirement("C08", "passes", "external identification at ISO 15118"),
    Requirement("C09", "passes", "group ids"),
    Requirement("C10", "done", "authorisation cache from the CSMS's answers, with their expiry", (CACHE,)),
    Requirement("C11", "done", "ClearCache goes to the station, and empties our copy", (LIST,)),
    Requirement("C12", "done", "start with a cached id", (CACHE, ANSWERS)),
    Requirement(
        "C13", "done", "offline start from the local list: the list is read on its way to the station, and goes before the cache", (OUTAGE, LIST)
    ),
    Requirement("C14", "passes", "online start from the local list"),
    Requirement("C15", "done", "unknown ids while the CSMS is away: refused or accepted as site.yaml says", (ANSWERS, LIST)),
    Requirement("C16", "passes", "master pass"),
    Requirement("C17", "passes", "2.1: prepaid cards; their answers expire at once and are not cached", (CACHE,)),
    Requirement("C18", "done", "2.1: a payment its terminal has taken is accepted while the CSMS is away", (DIALECT_21,)),
    Requirement("C19", "done", "2.1: cancelled payments are kept on disk", (POLICY,)),
    Requirement("C20", "done", "2.1: as C19", (POLICY,)),
    Requirement("C21", "done", "2.1: settlements are kept on disk", (POLICY,)),
    Requirement("C22", "done", "2.1: failed settlements as well", (POLICY,)),
    Requirement("C23", "passes", "2.1: raising the amount"),
    Requirement("C24", "passes", "2.1: stand-alone terminals"),
    Requirement("C25", "passes", "2.1: QR codes; needs the time we give", (ANSWERS,)),
    Requirement("D01", "done", "a list the station accepts is kept here too, full and differential, over restarts", (OUTAGE, LIST)),
    Requirement("D02", "done", "the list version is read; another one than ours makes our copy void", (OUTAGE, LIST)),
    Requirement("E01", "done", "transactions are followed; ids are the station's own", (OUTAGE, SESSION)),
    Requirement("E02", "passes", "cable first"),
    Requirement("E03", "passes", "id first"),
    Requirement("E04", "done", "offline starts are read but change nothing of the past", ("controller/ocpp/v2/test_observe.py", CRITIC)),
    Requirement("E05", "done", "a driver who is not accepted on replay is stopped", (OUTAGE,)),
    Requirement("E06", "passes", "stop options"),
    Requirement("E07", "passes", "stop with an id"),
    Requirement("E08", "done", "an end told late is the end all the same", (CRITIC,)),
    Requirement("E09", "passes", "unplugged: stop"),
    Requirement("E10", "passes", "unplugged: suspend"),
    Requirement("E11", "done", "what had to wait carries the offline flag", (SESSION, DIALECT, TRAPS)),
    Requirement("E12", "done", "in order per transaction, thinned only where allowed", (OUTBOX, OUTAGE, FAULTS)),
    Requirement("E13", "done", "repeated as the station's variables or site.yaml say, then kept aside", (OUTBOX, OUTAGE, FAULTS)),
    Requirement("E14", "done", "answered from our queue where it has something", (ANSWERS, SESSION, TRAPS)),
    Requirement("E15", "passes", "end of charging with ISO 15118"),
    Requirement("E16", "passes", "2.1: limits of a transaction; messages about a reached limit are never thinned", (OUTAGE,)),
    Requirement("E17", "passes", "2.1: resumed transactions"),
    Requirement("F01", "passes", "remote start"),
    Requirement("F02", "done", "remote start; its profile stays here (K05)", (SESSION,)),
    Requirement("F03", "done", "remote stop passes; also our own means against a driver who turned out invalid", (OUTAGE,)),
    Requirement("F04", "passes", "remote stop with ISO 15118"),
    Requirement("F05", "passes", "unlock"),
    Requirement("F06", "passes", "trigger"),
    Requirement("F07", "passes", "2.1: remote start with limits"),
    Requirement("G01", "done", "states are read for the site", ("controller/ocpp/v2/test_observe.py",)),
    Requirement("G02", "done", "heartbeats are answered here while the CSMS is away", (ANSWERS,)),
    Requirement("G03", "done", "passes, and is our own last means against a station that ignores its limit", (DIALECT,)),
    Requirement("G04", "passes", "availability of a whole station"),
    Requirement("G05", "passes", "lock failures"),
    Requirement("H01", "passes", "reservations"),
    Requirement("H02", "passes", "cancelled reservations"),
    Requirement("H03", "passes", "use of a reserved place"),
    Requirement("H04", "done", "ended reservations are kept on disk while the CSMS is away", (POLICY,)),
    *(Requirement(f"I0{n}", "passes", "tariff and cost texts") for n in range(1, 7)),
    *(Requirement(f"I{n:02d}", "passes", "2.1: local cost calculation; refused where forbidden", (REFUSALS,)) for n in range(7, 13)),
    Requirement("J01", "done", "meter values are read for the site and kept on disk while the CSMS is away", (POLICY,)),
    Requirement("J02", "done", "as J01, inside transactions", ("controller/ocpp/v2/test_observe.py",)),
    Requirement("J03", "passes", "signed meter values; never written anew"),
    Requirement("K01", "done", "judged as a station would, kept, answered; in overlay mode they pass", (PROFILES, VIEW, PROFILES_21, TRUTH, OVERLAY)),
    Requirement("K02", "done", "TxProfiles of the CSMS are followed within the site's limits", (SCHEDULE, SESSION)),
    Requirement("K03", "done", "the site's own distribution", (DIALECT, SESSION)),
    Requirement("K04", "done", "ChargingStationMaxProfile bounds the sum of a station", (VIEW,)),
    Requirement("K05", "done", "a profile in a remote start stays here and binds to the transaction", (SESSION, PROFILES, TRUTH)),
    Requirement("K06", "done", "our own TxProfiles end by themselves: a lost link never leaves a high limit", (DIALECT, TRAPS)),
    Requirement("K07", "done", "without a link a station starts at its floor", (DIALECT,)),
    Requirement("K08", "done", "the lower of the CSMS's profiles and what the station has accepted", (PROFILES, SESSION)),
    Requirement("K09", "done", "reported from what is kept here", (PROFILES, VIEW)),
    Requirement("K10", "done", "cleared here; in overlay mode at the station, but for its maximum", (PROFILES, VIEW, TRUTH, OVERLAY)),
    *(Requirement(f"K{n}", "done", "a limit of the site is told to the CSMS, one of the station is obeyed", (NEWS, TRUTH)) for n in (11, 12, 13, 14)),
    Requirement("K15", "done", "needs of the car are read; never Rejected while the CSMS is away", (ANSWERS, TRAPS)),
    Requirement("K16", "passes", "renegotiation by the CSMS"),
    Requirement("K17", "done", "what the car will take is read; the composite is no higher", (TRUTH,)),
    Requirement("K18", "done", "2.1: as K15, answered NoChargingProfile", (ANSWERS, DIALECT_21, TRUTH)),
    Requirement("K19", "done", "2.1: as K18", (ANSWERS, DIALECT_21)),
    Requirement("K20", "done", "2.1: changed needs are read", (DIALECT_21,)),
    Requirement("K21", "done", "2.1: lifts the transaction while it has priority; chargingPriority is told to the site", (TRUTH, DRIVER)),
    Requirement("K22", "done", "2.1: priority chosen by the driver counts here, and is kept on disk while the CSMS is away", (POLICY, TRUTH)),
    Requirement("K23", "done", "an EMS wired to the station itself: its limit caps the wish", (TRUTH,)),
    Requirement("K24", "done", "2.1: the EMS is inside this controller, which tells of its limits", (SESSION, NEWS)),
    Requirement("K25", "done", "2.1: the EMS is this controller", (SESSION, NEWS)),
    Requirement("K26", "done", "2.1: CSMS and controller together: the lower limit counts", (SESSION,)),
    Requirement("K27", "done", "2.1: LocalGeneration adds to the limit of its own place", (VIEW, SCHEDULE)),
    Requirement("K28", "done", "2.1: Dynamic profiles are updated here, or pulled from the CSMS; their duration is a watchdog", (TRUTH, VIEW)),
    Requirement("K29", "passes", "2.1: values that the station has from another system"),
    Requirement("L01", "passes", "firmware; its states are kept on disk while the CSMS is away", (POLICY,)),
    Requirement("L02", "passes", "as L01", (POLICY,)),
    Requirement("L03", "later", "publishing firmware under the controller's own identity"),
    Requirement("L04", "later", "as L03; asked all the same, the answer is NoFirmware", (REFUSALS,)),
    Requirement("M01", "passes", "contract certificates; Failed while the CSMS is away", (ANSWERS,)),
    Requirement("M02", "passes", "as M01", (ANSWERS,)),
    Requirement("M03", "passes", "installed certificates"),
    Requirement("M04", "passes", "deleting certificates"),
    Requirement("M05", "passes", "installing certificates"),
    Requirement("M06", "passes", "OCSP; Failed while the CSMS is away", (ANSWERS,)),
    Requirement("M07", "done", "2.1: Failed for each certificate while the CSMS is away", (DIALECT_21,)),
    Requirement("N01", "passes", "logs; their states are kept on disk while the CSMS is away", (POLICY,)),
    *(Requirement(f"N{n:02d}", "passes", "monitoring; refused item by item where forbidden", (REFUSALS,)) for n in range(2, 7)),
    Requirement("N07", "done", "events are kept on disk while the CSMS is away", (POLICY,)),
    Requirement("N08", "done", "as N07", (POLICY,)),
    Requirement("N09", "passes", "customer information"),
    Requirement("N10", "passes", "as N09"),
    Requirement("N11", "done", "2.1: no stream is opened while the CSMS is away", (ANSWERS,)),
    Requirement("N12", "passes", "2.1: list of streams"),
    Requirement("N13", "passes", "2.1: closed streams", (ANSWERS,)),
    Requirement("N14", "passes", "2.1: changed streams"),
    Requirement("N15", "done", "2.1: stream data goes up while the CSMS is there and is dropped otherwise", (POLICY,)),
    *(Requirement(f"O0{n}", "passes", "messages on the display") for n in range(1, 7)),
    Requirement("P01", "passes", "DataTransfer to the station"),
    Requirement("P02", "passes", "DataTransfer to the CSMS; Rejected while it is away", (ANSWERS,)),
    Requirement("Q01", "done", "2.1: needs of V2X cars are read; without a CSMS they charge by what there is", (DIALECT_21,)),
    Requirement("Q02", "passes", "2.1: NotifyAllowedEnergyTransfer"),
    *(Requirement(f"Q{n:02d}", "later", "2.1: profiles with V2X operation modes are refused", (PROFILES_21,)) for n in range(3, 13)),
    *(Requirement(f"R0{n}", "passes", "2.1: DER sessions") for n in range(1, 4)),
    Requirement("R04", "passes", "2.1: DER controls go to the station; starts and stops are kept on disk", (POLICY,)),
    Requirement("R05", "done", "2.1: DER alarms are kept on disk while the CSMS is away", (POLICY,)),
    Requirement("S01", "done", "2.1: battery swaps are kept on disk while the CSMS is away", (POLICY,)),
    Requirement("S02", "passes", "2.1: swap asked for by the CSMS", (REFUSALS,)),
    Requirement("S03", "done", "2.1: as S01", (POLICY,)),
    Requirement("S04", "passes", "2.1: charging in the cabinet, counted like any EVSE"),
)

SECTIONS: Final = (
    ("Frames and connections (OCPP-J; P4 = part 4 of 2.1)", FRAMES_AND_LINKS),
    ("OCPP 1.6 (16 = edition 2, 16S = security whitepaper, 16J = OCPP-J)", OCPP_16),
    ("OCPP 2.0.1 and 2.1 (use cases of part 2)", OCPP_2),
)

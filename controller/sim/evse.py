"""One EVSE of a simulated station: plug, contactor, energy register, the running transaction.

Pure physics and book-keeping; what is said about it on the wire is a ``voice``'s part.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.sim.car import MIN_OFFER_A, VOLTAGE_V, Car
from controller.sim.profiles import Session
from controller.sim.wire import Payload

FLOWING_A = 0.1
SIGNIFICANT_A = 1.0


@dataclass(frozen=True, slots=True)
class EvseSpec:
    """site_phases: site phases (0..2) that feed the EVSE's own L1, L2, L3. max_current_a: per phase.

    quantum_a: its meter tells currents in steps of this [A], 0 = as they are.
    """

    id: int
    site_phases: tuple[int, ...] = (0, 1, 2)
    max_current_a: float = 32.0
    quantum_a: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """A session the CSMS asked for. remote_id: its number, where the version has one. profile: as the store takes it."""

    token: Payload
    remote_id: int | None = None
    profile: Payload | None = None


@dataclass(slots=True)
class Transaction:
    """A session, from cable to cable. seq_no: of the next event (2.x). numbered: the CSMS has given it its id (1.6)."""

    session: Session
    id_token: Payload
    seq_no: int = 0
    authorised: bool = False
    state: str = "EVConnected"
    mode: str = "Idle"
    evse_told: bool = False
    remote_start_id: int | None = None
    numbered: bool = False

    def next_seq_no(self) -> int:
        """Number of the event about to be made; rises by one from 0 (E01.FR.07)."""
        self.seq_no += 1
        return self.seq_no - 1


@dataclass(slots=True)
class Evse:
    """State of one EVSE. register_wh: import register, given_register_wh: export register. offer_a: what the pilot offers now.

    mode: operation mode in force (2.1). told_a: current per phase in the last event. before_a: at the last look. served:
    this car has had its session.
    """

    spec: EvseSpec
    car: Car | None = None
    transaction: Transaction | None = None
    register_wh: float = 0.0
    given_register_wh: float = 0.0
    mode: str = "Idle"
    offer_a: float = 0.0
    operative: bool = True
    inoperative_next: bool = False
    pending_start: RemoteStart | None = None
    reported: str = ""
    next_sample_mono_s: float = 0.0
    told_a: float = 0.0
    before_a: float = 0.0
    served: bool = False

    @property
    def may_deliver(self) -> bool:
        """True once somebody is allowed to charge here."""
        return self.operative and self.transaction is not None and self.transaction.authorised

    def advance(self, offer_a: float, control_s: float, wall_s: float) -> None:
        """Let the car run for a while at an offered current per phase, negative = to be given back [A]."""
        self.offer_a = offer_a if self.may_deliver else 0.0
        if self.car is not None:
            given_wh = self.car.given_wh
            self.register_wh += self.car.step(self.offer_a, control_s, wall_s)
            self.given_register_wh += self.car.given_wh - given_wh

    def phase_current_a(self) -> tuple[float, float, float]:
        """Current by the EVSE's own phases [A]."""
        if self.car is None or self.car.current_a == 0.0:
            return 0.0, 0.0, 0.0
        current_a, wired = self.car.current_a, self.car.wired
        return current_a if 0 in wired else 0.0, current_a if 1 in wired else 0.0, current_a if 2 in wired else 0.0

    def site_current_a(self) -> tuple[float, float, float]:
        """Current by site phases [A]."""
        total = [0.0, 0.0, 0.0]
        for own, site in enumerate(self.spec.site_phases):
            total[site] += self.phase_current_a()[own]
        return total[0], total[1], total[2]

    @property
    def power_w(self) -> float:
        """Active power [W]."""
        return sum(self.phase_current_a()) * VOLTAGE_V

    def rate_changed(self) -> bool:
        """The car has settled at another current than the one told last. Call once per look."""
        current_a = self.car.current_a if self.car else 0.0
        settled, self.before_a = current_a == self.before_a, current_a
        return settled and abs(current_a - self.told_a) >= SIGNIFICANT_A

    def charging_state(self) -> str:
        """chargingState of the running transaction, from what really flows."""
        transaction, car = self.transaction, self.car
        if transaction is None or car is None or not transaction.authorised:
            return "EVConnected"
        if abs(car.current_a) > FLOWING_A:
            return "Charging"
        if car.full:
            return "SuspendedEV"
        if self.offer_a < MIN_OFFER_A:
            return "SuspendedEVSE"
        return transaction.state  # offered, the car has not reacted yet

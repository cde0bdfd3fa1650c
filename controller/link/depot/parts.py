"""All parts of the depot face, in the order they are asked: the first that takes an action of the CSMS, or of a station, answers it.

One line per part. ``Through`` comes last: it passes what nobody else takes.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.link.depot.availability import Availability
from controller.link.depot.boot import Boot
from controller.link.depot.certificates import Certificates
from controller.link.depot.customer import Customers
from controller.link.depot.data import Data
from controller.link.depot.der import DerControls
from controller.link.depot.displays import Displays
from controller.link.depot.firmware import Firmware
from controller.link.depot.limits import Limits
from controller.link.depot.lists import Lists
from controller.link.depot.logs import Logs
from controller.link.depot.model import DeviceModel
from controller.link.depot.network import Network
from controller.link.depot.office import Office, Part
from controller.link.depot.own_certificate import OwnCertificate
from controller.link.depot.payments import Payments
from controller.link.depot.profiles import Profiles
from controller.link.depot.publishing import Publishing
from controller.link.depot.reservations import Reservations
from controller.link.depot.resets import Resets
from controller.link.depot.sessions import Sessions
from controller.link.depot.site_limit_news import SiteLimitNews
from controller.link.depot.starts import Starts
from controller.link.depot.states import States
from controller.link.depot.streams import Streams
from controller.link.depot.swaps import Swaps
from controller.link.depot.tariffs import Tariffs
from controller.link.depot.through import Through
from controller.link.depot.triggers import Triggers
from controller.link.depot.unlocking import Unlocking
from controller.link.depot.v2x import V2x
from controller.link.depot.values import Values

MAKERS: tuple[Callable[[Office], Part], ...] = (
    Boot,
    States,
    Sessions,
    Values,
    DeviceModel,
    Firmware,
    Publishing,
    Logs,
    Starts,
    Resets,
    Availability,
    Unlocking,
    Triggers,
    Reservations,
    Lists,
    Customers,
    Profiles,
    Displays,
    Tariffs,
    Limits,
    Swaps,
    Certificates,
    OwnCertificate,
    Payments,
    Streams,
    Data,
    Network,
    DerControls,
    V2x,
    SiteLimitNews,
    Through,
)

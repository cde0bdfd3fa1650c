"""The OCPP 1.6J dialect and its two sides to the hub. Nobody imports them by name: ``ocpp/registry.py`` finds ``DIALECT`` and ``SIDES``."""

from controller.ocpp.hub import Sides
from controller.ocpp.v16.csms_side import CsmsSide16
from controller.ocpp.v16.dialect import Dialect16
from controller.ocpp.v16.station_side import StationSide16

DIALECT = Dialect16()
SIDES = Sides("ocpp1.6", station=StationSide16, csms=CsmsSide16)

"""The OCPP 2.0.1 dialect and sides. Nobody imports them by name: ``ocpp/registry.py`` finds ``DIALECT`` and ``SIDES``."""

from controller.ocpp.dialect import Dialect
from controller.ocpp.hub import Sides
from controller.ocpp.v201.csms_side import CsmsSide
from controller.ocpp.v201.dialect import Dialect201
from controller.ocpp.v201.station_side import StationSide

DIALECT: Dialect = Dialect201()
SIDES: Sides = Sides("ocpp2.0.1", StationSide, CsmsSide)

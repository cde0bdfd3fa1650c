"""The OCPP 2.1 dialect and sides. Nobody imports them by name: ``ocpp/registry.py`` finds ``DIALECT`` and ``SIDES``."""

from controller.ocpp.dialect import Dialect
from controller.ocpp.hub import Sides
from controller.ocpp.v21 import sides
from controller.ocpp.v21.dialect import Dialect21

DIALECT: Dialect = Dialect21()
SIDES: Sides = sides.SIDES

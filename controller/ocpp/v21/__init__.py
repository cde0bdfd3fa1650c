"""The OCPP 2.1 dialect. Nobody imports it by name: ``ocpp/registry.py`` finds ``DIALECT``."""

from controller.ocpp.dialect import Dialect
from controller.ocpp.v21.dialect import Dialect21

DIALECT: Dialect = Dialect21()

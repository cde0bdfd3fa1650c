"""The OCPP 2.0.1 dialect. Nobody imports it by name: ``ocpp/registry.py`` finds ``DIALECT``."""

from controller.ocpp.dialect import Dialect
from controller.ocpp.v201.dialect import Dialect201

DIALECT: Dialect = Dialect201()

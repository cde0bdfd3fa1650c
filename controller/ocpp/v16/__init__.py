"""The OCPP 1.6J dialect. Nobody imports it by name: ``ocpp/registry.py`` finds ``DIALECT``."""

from controller.ocpp.v16.dialect import Dialect16

DIALECT = Dialect16()

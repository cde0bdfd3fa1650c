"""Yardmaster's controller: OCPP links, site control, shells."""

__version__ = "0.1.0"

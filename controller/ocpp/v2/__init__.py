"""What OCPP 2.0.1 and 2.1 have in common. No version itself: it has no ``DIALECT``."""

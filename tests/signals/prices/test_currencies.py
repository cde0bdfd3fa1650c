"""Bounds of prices follow the size of a currency: forints and yen pass, euros per MWh do not."""

from __future__ import annotations

import pytest

from signals.prices.currencies import size_of
from signals.prices.slots import PriceError, Slot, plausible

HOUR = (1_780_000_000.0, 1_780_003_600.0)


@pytest.mark.parametrize(
    ("currency", "per_kwh"),
    [("EUR", 0.35), ("EUR", -0.5), ("EUR", 5.0), ("HUF", 40.0), ("HUF", 1900.0), ("JPY", 31.0), ("CZK", 6.5), ("ISK", 20.0), ("KRW", 180.0)],
)
def test_a_tariff_of_the_country_passes(currency: str, per_kwh: float) -> None:
    slots = (Slot(*HOUR, per_kwh),)
    assert plausible(slots, currency) == slots


@pytest.mark.parametrize(("currency", "per_mwh"), [("EUR", 350.0), ("GBP", 190.0), ("CZK", 3500.0), ("HUF", 60_000.0), ("JPY", 31_000.0)])
def test_the_same_per_mwh_is_refused(currency: str, per_mwh: float) -> None:
    with pytest.raises(PriceError, match="another unit"):
        plausible((Slot(*HOUR, per_mwh),), currency)


def test_what_is_not_known_has_the_size_of_a_euro() -> None:
    assert size_of("EUR") == size_of("XYZ") == size_of(None) == 1.0
    assert size_of("huf") == size_of("HUF") > 100.0

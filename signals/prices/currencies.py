"""How large the unit of a currency is: what tells a price per MWh, or in cents, from one per kWh in forints or yen.

No exchange rates: powers of ten and halves of them, right within a factor of three for years. A currency that is not here is taken for one of
the size of the euro, dollar, pound or franc: where that is wrong, its prices are refused with the reason, and nothing is planned with.
"""

from __future__ import annotations

from typing import Final

_SIZES: Final = {
    3.0: "AED ARS BAM BGN BRL CNY FJD GEL ILS MYR PEN PLN QAR RON SAR TND TRY",
    10.0: "BOB BWP CZK DKK EGP GTQ HKD HNL MAD MDL MKD MOP MXN NAD NOK SEK SZL UAH UYU ZAR ZMW",
    50.0: "BDT BTN DOP INR KGS LKR MUR NIO NPR PHP RUB THB TWD",
    100.0: "AFN ALL DZD ISK JMD JPY KES PKR RSD",
    500.0: "AMD AOA CRC HUF KMF KZT LRD XAF XOF XPF",
    1000.0: "CLP IQD KRW MMK MWK NGN RWF YER",
    5000.0: "COP KHR MGA MNT PYG TZS UGX",
    20_000.0: "GNF IDR LAK SLE UZS VND",
    100_000.0: "IRR LBP",
}
_OF: Final = {code: size for size, codes in _SIZES.items() for code in codes.split()}


def size_of(currency: str | None) -> float:
    """About how many units of a currency (ISO 4217) one euro is; 1 for those of its size, and for what is not known."""
    return _OF.get((currency or "").upper(), 1.0)

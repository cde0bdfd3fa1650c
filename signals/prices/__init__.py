"""Price and forecast feeds: what their answers mean.

Each module decodes one published format: bytes in, ``Slots`` out (UTC, any length, ascending, not overlapping, gaps allowed), or one clear
``PriceError``. Prices come out per kWh, in the currency the feed tells. An answer that honestly says "nothing yet" is no error: no slots.

    awattar, tibber, nordpool, energy_charts, entsoe    day-ahead prices
    plain                                                JSON over HTTP, JSON and CSV files, MQTT payloads: anything with a start and a value

Formats as their owners publish them (state of 2026); ``deploy/prices.md`` says where.
"""

"""Grid signals and price feeds: what their messages mean. Pure: bytes and times in, plain data out."""

"""Reading and judging ``site.yaml``: the parts behind ``yardmaster check`` and ``load_config``."""

"""What each meter of this site is expected to tell, for the shells that read them."""

from __future__ import annotations

from controller.site.meters.expected import expectation

__all__ = ["expectation"]

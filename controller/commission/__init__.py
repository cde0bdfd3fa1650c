"""Commissioning: what an installer's tests say about a station. Pure: records in, findings and files' texts out."""

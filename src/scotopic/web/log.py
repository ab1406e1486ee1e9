"""What the server tells whoever runs it, on standard error."""

from __future__ import annotations

import logging

log = logging.getLogger("scotopic.serve")
"""Faults, and a line a picture."""

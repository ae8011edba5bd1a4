"""Unsigned files of format version 1, from before sessions were signed.

Reading one is the business of `sessions`, for an unsigned session is a session. Here is what people do with them: sign
them all, vouch for those that came later, take in those of another place, and decide how strictly they are treated.
"""

from __future__ import annotations

from sessionstore.legacy.calls import StoreLegacy

__all__ = ["StoreLegacy"]

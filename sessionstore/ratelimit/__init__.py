"""How often something may be attempted: one limit a session, one over all, in a window that slides.

The library `limits` is loaded at the first attempt that is counted, and by nothing before.
"""

from __future__ import annotations

from sessionstore.ratelimit.limiter import RateLimiter

__all__ = ["RateLimiter"]

"""The check-up of a whole store, behind `sessionstore doctor`."""

from __future__ import annotations

from sessionstore.health.examination import diagnose
from sessionstore.health.findings import Finding, Level, judge_limits, judge_pinning, judge_place

__all__ = ["Finding", "Level", "diagnose", "judge_limits", "judge_pinning", "judge_place"]

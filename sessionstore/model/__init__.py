"""The values of this package: frozen, checked when they are made, and free of any I/O."""

from __future__ import annotations

from sessionstore.model.ids import check_consent, check_id, check_key, check_name, check_tags, new_id
from sessionstore.model.records import Message, ProjectRecord, Todo, check_todos
from sessionstore.model.reports import (
    POLICIES,
    AdoptedFile,
    AdoptionReport,
    AuditFinding,
    AuditRecord,
    AuditReport,
    CleanupReport,
    InspectedLine,
    Inspection,
    MigrationResult,
    Policy,
    PolicyState,
    Rebinding,
    SearchHit,
)
from sessionstore.model.session import (
    LoadWarning,
    ProjectState,
    Provenance,
    Session,
    SessionPage,
    SessionSummary,
    StoreStats,
    Unreadable,
    VerifyResult,
)
from sessionstore.model.times import format_time, next_time, parse_time, utc_now

__all__ = [
    "POLICIES",
    "AdoptedFile",
    "AdoptionReport",
    "AuditFinding",
    "AuditRecord",
    "AuditReport",
    "CleanupReport",
    "InspectedLine",
    "Inspection",
    "LoadWarning",
    "Message",
    "MigrationResult",
    "Policy",
    "PolicyState",
    "ProjectRecord",
    "ProjectState",
    "Provenance",
    "Rebinding",
    "SearchHit",
    "Session",
    "SessionPage",
    "SessionSummary",
    "StoreStats",
    "Todo",
    "Unreadable",
    "VerifyResult",
    "check_consent",
    "check_id",
    "check_key",
    "check_name",
    "check_tags",
    "check_todos",
    "format_time",
    "new_id",
    "next_time",
    "parse_time",
    "utc_now",
]

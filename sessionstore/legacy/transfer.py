"""Files of format version 1 from elsewhere, under a new id: the tool that wrote them signed them, or you vouch."""

from __future__ import annotations

from collections.abc import Collection

from sessionstore.errors import MalformedError, UnsignedUnknownError
from sessionstore.format.legacy import parse_file, read_legacy
from sessionstore.format.origin import read_signed
from sessionstore.model.ids import is_id
from sessionstore.sessions import Ground, Lifecycle
from sessionstore.signing import OriginKey

_UNSIGNED_HINT = "find out where the file comes from; `--trust-unsigned` takes it in, because you vouch for it"


def import_legacy(
    ground: Ground, lifecycle: Lifecycle, data: bytes, *, key: OriginKey | None, trust: Collection[str]
) -> str:
    """Make a new session of a file of format version 1; return its id.

    Args:
        key: Checks the signature of the tool that wrote it; None for an unsigned file.
        trust: `unsigned` takes an unsigned one.

    Raises:
        UnsignedUnknownError: It is unsigned, and nobody vouches for it.
        VerificationError: See `read_legacy` and `read_signed`.
    """
    if key is not None:
        old = read_signed(data, key=key)
    else:
        stated_id = parse_file(data, "").get("id")
        if not isinstance(stated_id, str) or not is_id(stated_id):
            raise MalformedError(session_id="", reason="id must be a lower-case UUID")
        old = read_legacy(data, file_stem=stated_id)
        if "unsigned" not in trust:
            raise UnsignedUnknownError(session_id=old.id, hint=_UNSIGNED_HINT)
        ground.audit.record("import_trusted", session_id=None, origin=old.id)
    return lifecycle.create(old.state, entries=old.entries, origin=old.id, provenance="imported")

"""Reading a sealed file for which a person vouches, because the key that signed it is not here.

Everything is checked but the signatures that nobody can check: form and order of the seals, their offsets, and the
chain over every byte. So the file is whole and of one piece, and no accident; who made it, only the person can know. A
seal of a key that is here must verify as ever: nobody vouches for what can be checked.
"""

from __future__ import annotations

import msgspec

from sessionstore.errors import UnknownKeyError
from sessionstore.format.seal import SEAL, SUFFIX_BYTES, Broken, Seal, Sealed, Sealer

_decode = msgspec.json.Decoder(Seal).decode


class VouchedSealer(Sealer):
    """Judges seals as `Sealer` does, but takes those of keys that are not here for what they say.

    Attributes:
        unchecked: How many signatures could not be checked so far.
    """

    unchecked: int = 0

    def verify_line(self, line: bytes) -> Sealed:
        """The seal in `line`, verified where its key is here.

        Raises:
            Broken: It is no seal line, or its key is here and did not sign it.
            KeyDisabledError: Its key was given up here, so nobody may vouch for what it signed.
        """
        try:
            return super().verify_line(line)
        except UnknownKeyError:
            pass  # it has the form of a seal: only then its key is looked up
        try:
            seal = _decode(line[len(SEAL) : -SUFFIX_BYTES])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Broken from None
        self.unchecked += 1
        return Sealed(seal, line[-SUFFIX_BYTES + 14 : -3].decode(), line)

"""Sessions of agent SDKs kept in a store: one file an SDK, each imported only by whoever uses that SDK.

Every adapter keeps these rules:

- It takes a store that is open and does not close it.
- Names that the SDK gives become keys of the store by `sessionstore.integrations.foreign.key_of` and by nothing else.
- A turn is an append; what a turn costs does not grow with the history.
- What the store refuses reaches the SDK as the store's own error, where the SDK lets it through.
- The SDK is imported in its adapter only. What it needs is the extra of the same name.
"""

from __future__ import annotations

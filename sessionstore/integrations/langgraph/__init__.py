"""LangGraph: a checkpointer that keeps each thread of a graph as one signed session. Extra `langgraph`."""

from __future__ import annotations

from sessionstore.integrations.langgraph.saver import SealedSaver

__all__ = ["SealedSaver"]

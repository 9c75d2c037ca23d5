"""Worlds for the proofs, and the contract's clients of every kind."""

from __future__ import annotations

from tests.contract.conftest import client, make, prices

__all__ = ["client", "make", "prices"]

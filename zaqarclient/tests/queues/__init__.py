"""Base classes for tests of the SDK (contract, SDK section 22)."""

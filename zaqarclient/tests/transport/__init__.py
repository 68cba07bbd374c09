"""Stand-ins for transports and APIs (contract, SDK section 22)."""

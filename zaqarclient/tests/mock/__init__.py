"""Documents as the service gives them (contract, SDK section 22)."""

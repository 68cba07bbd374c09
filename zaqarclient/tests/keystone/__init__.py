"""The SDK and the programs with a real Keystone."""

"""The rows of the operation table, a module for each resource."""

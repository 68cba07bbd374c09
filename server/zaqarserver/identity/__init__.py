"""Callers: authentication, access rules, Keystone and trusts."""

"""The rules of subscriptions: URIs, options, filters and retry policies.

They are pure functions: handlers use them to check, the notifier to send.
"""

"""What a subscription may say: options, filters and retry policies.

Pure rules: handlers check with them, and the notifier follows them.
"""

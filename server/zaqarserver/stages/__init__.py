"""Stages: they process each message when it is posted and when it is read.

See :mod:`zaqarserver.stages.base` for the contract and
:mod:`zaqarserver.stages.pipeline` for the order of the stages.
"""

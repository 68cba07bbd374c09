"""Message filters: stages that see each message when it is posted and read.

See :mod:`zaqarserver.stages.base` for the contract and
:mod:`zaqarserver.stages.pipeline` for how they are put together.
"""

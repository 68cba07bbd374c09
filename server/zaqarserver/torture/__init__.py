"""``zaqar-torture``: does a deployment keep its promises while things break?

Producers and consumers work through the REST API of any deployment while faults
are injected; what they saw is a history, and the history is checked. The parts:
:mod:`history` (pure: what was seen, and what that proves), :mod:`load` (the
clients), :mod:`faults` (processes killed and stopped, connections cut), and the
program itself.
"""

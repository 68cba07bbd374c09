"""``zaqar-torture``: checks that a deployment keeps its promises under faults.

Producers and consumers use the REST API of any deployment while faults are injected;
they record a history, which is checked at the end. The parts are :mod:`history` (pure:
the observations and the broken promises that they prove), :mod:`load` (the clients),
:mod:`faults` (processes killed and stopped, connections cut), and the program itself.
"""

"""What programs that use this SDK construct and call, over a real server.

One module for each group of them (contract, SDK section 20). The tests use
only the fixture ``cloud``: here it is a server without authentication, which
takes any token; the tests of Keystone run the same modules with a real one.
"""

"""What the system refuses and what hooks raise costs one connection at most, never the server.

``injecting`` makes the system and the hooks fail; the tests show that service goes on, that each
episode is told once, and that nothing is left of it.
"""

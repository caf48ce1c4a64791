"""What a server endures: ``python -m benchmarks soak``.

``server`` runs two greenlet servers, one of them under TLS, with every limit set. ``clients`` runs
the mix: ``kinds`` says who there is, good and bad, and ``dealings`` how one deals with the server.
``cli`` has the mix run twice, to warm up and in earnest, looks at the server after each, and
``verdict`` compares the two.
"""

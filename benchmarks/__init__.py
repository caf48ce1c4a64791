"""How fast greensock is, beside others in the same run: ``python -m benchmarks``.

``suites`` says what is measured, ``peers`` on whom, ``targets`` what greensock is to reach: they
are data. ``rounds`` measures, by way of ``measuring`` and ``processes``; ``stats`` sums up;
``report`` and ``plots`` tell. ``servers`` are the peers, a process each. ``native`` is the load,
and ``fallback`` is the load where there is no C compiler.
"""

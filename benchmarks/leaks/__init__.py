"""Leak detection beside other scanners, in one run, on the same repositories: ``python -m benchmarks.leaks``.

``scanners`` knows how to call each one and to read its report, ``repositories`` makes what they scan, with a token
planted in it, ``running`` takes times and memory, ``speed`` and ``known`` compare, ``labelled`` measures what is found
in labelled files, ``page`` writes it down. A figure counts only when the planted token is in the report.
"""

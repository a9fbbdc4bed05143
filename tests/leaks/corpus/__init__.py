"""Files with labelled secrets in them, made from a seed, to measure scanners on.

The values, names, contexts and decoys are written from what repositories hold, not from the rules.
"""

"""Find secrets where they should not be: in trees, histories, streams, processes and databases.

``rules/`` holds what a secret looks like, as data; ``ruleset`` reads it; ``matching`` runs all of it over bytes in
one pass; ``examination`` turns candidates into findings; ``sources/`` give the bytes; ``known`` searches for our own
values; ``reports/`` tell the result. Nothing here writes a value anywhere.
"""

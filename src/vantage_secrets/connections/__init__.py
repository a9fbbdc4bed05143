"""Clients of other systems that take a new credential while they run; one module for each library, loaded when used.

All of them keep to one rule. A refusal leads to one refresh of the secret and one retry; what is refused again is
raised. An outage is no refusal. A connection leaves its receipt for the version that it really uses.
"""

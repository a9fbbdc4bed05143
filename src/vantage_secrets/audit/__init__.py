"""Who did what to which secret: an append-only, hash-chained trail.

==================  =======================================================================================
``event``           what is recorded, and where events go: ``AuditEvent``, ``Action``, ``Outcome``, ``AuditSink``
``log``             ``AuditLog``: makes events durable
``verify``          ``verify``: whether the log is what was written
``search``          ``search`` and ``tail``
``export``          ``export``: JSON Lines that can be verified elsewhere, or CSV
``checkpoint``      ``Checkpoint``: the log at an instant, signed
``signing_key``     ``create_signing_key``
``collection``      ``collect_spool``: brings in the events of those who may not write the log
==================  =======================================================================================
"""

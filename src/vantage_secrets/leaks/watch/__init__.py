"""Scan what is pushed: as a hook of the repository itself, or as a daemon that hooks and webhooks tell of pushes.

``pushes`` says what a push is, ``pushed`` reads the objects that one brought, ``hook`` puts the hook into a repository.
The daemon is ``watcher``; ``unix_socket`` and ``http_server`` take pushes for it, ``webhook`` verifies and understands
what forges send. ``spool`` keeps what must outlive the process, ``told`` which findings were told.
"""

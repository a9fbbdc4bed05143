"""Where bytes come from: trees, archives, images, processes, streams, databases, topics.

``contract`` says what a source is; each module here is one, but for ``pieces``, ``recognition`` and ``archives``, which
serve the others.
"""

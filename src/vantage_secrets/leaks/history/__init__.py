"""Every object of a Git repository, each read once: blobs, trees, commits and tags, reachable or not.

``repository`` runs Git, ``objects`` reads through it, ``scanning`` examines what comes, ``attribution`` says where a
finding sits, ``object_cache`` remembers what was read.
"""

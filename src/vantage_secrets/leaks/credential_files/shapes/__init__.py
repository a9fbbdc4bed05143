"""The syntaxes that credential files are written in, read with the place of each value.

None of them is a full reader: they take what real files hold, go on behind what they do not understand, and never
raise, since half of a file in a history is a merge conflict, a template or somebody's notes.
"""

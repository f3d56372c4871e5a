"""The language of a study: loading, the tree, and what may stand in it."""

"""The nouns of a migration run: immutable values that import nothing of ours."""

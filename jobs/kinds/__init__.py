"""The kinds of jobs that this program runs itself, and how each is told from its record. Pure."""

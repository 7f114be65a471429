"""SQLite: the only SQL in the repository.

Clients write `intents`, the daemon alone writes job rows (`writer`), everybody reads snapshots (`queries`).
"""

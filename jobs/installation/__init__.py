"""Where an installation keeps its files, its settings, the scheduler's lock, and notifications."""

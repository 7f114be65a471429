"""What jobs and the scheduler leave behind as files, read back: logs, events, exits, curves, load."""

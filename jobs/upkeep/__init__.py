"""What the scheduler does besides jobs: alerts about the machine and the removal of old files. Pure."""

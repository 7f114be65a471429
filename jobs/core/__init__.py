"""The nouns of the scheduler and its pure helpers: jobs, machines, requests, ports. No I/O, no clock."""

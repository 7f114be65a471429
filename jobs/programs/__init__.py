"""What a job's own process runs: a service, a notebook, an optimizer. Nothing imports these packages."""

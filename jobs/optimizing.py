"""`python -m jobs.optimizing`, as earlier versions stored it in jobs, runs `jobs.programs.optimizer`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("jobs.programs.optimizer", run_name="__main__", alter_sys=True)

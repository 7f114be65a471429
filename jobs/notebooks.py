"""`python -m jobs.notebooks`, as earlier versions stored it in jobs, runs `jobs.programs.notebook`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("jobs.programs.notebook", run_name="__main__", alter_sys=True)

"""`python -m jobs.serving`, as earlier versions stored it in jobs, runs `jobs.programs.serving`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("jobs.programs.serving", run_name="__main__", alter_sys=True)

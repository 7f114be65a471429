"""`python -m jobs.venvs`, as earlier versions stored it, runs `jobs.programs.environment_builder`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("jobs.programs.environment_builder", run_name="__main__", alter_sys=True)

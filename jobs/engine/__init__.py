"""What happens to jobs, step by step: the only place where a state changes, entered by `step`.

Pure: events in, the next world and effects out.
"""

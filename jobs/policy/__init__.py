"""What starts now and why the rest waits: pure rules, entered by `decide`.

Nothing in this package does I/O, reads a clock or draws a random number.
"""

"""What the machine is doing: readings of it, and the daemon's latest one for everybody who looks.

It measures and never decides.
"""

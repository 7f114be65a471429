"""The scheduler's process: hears, decides by calling the pure core, performs.

Front ends never import the loop; they find and start the process by `presence`.
"""

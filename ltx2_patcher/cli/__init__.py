"""What people type: parse, call one job, report.

Only this layer prints, reads the environment or exits.
"""

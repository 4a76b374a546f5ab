"""What people type: parse, call one job, report. Only doors print, read the environment or exit."""

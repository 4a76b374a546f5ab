"""What starts and ends the service: parse, call, report. Only this layer prints or exits."""

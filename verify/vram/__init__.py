"""What one run of a patched pipeline takes of a card, stage by stage, judged against a budget.

`child` runs the script and notes what begins when; `runner` watches it from outside; `stages`
puts both together; `judge` compares with verify/limits.toml. `report` and `plot` show it.
"""

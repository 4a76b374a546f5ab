"""What one of upstream's scripts did stage by stage, recorded while it ran and read afterwards.

Kept apart by what is owned: the events and their files (`events`), the places in upstream where
they are seen (`hooks`), and the script that is run so (`__main__`).
"""

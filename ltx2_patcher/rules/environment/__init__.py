"""What an environment must hold, and which torch build a driver runs."""

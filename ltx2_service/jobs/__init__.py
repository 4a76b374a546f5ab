"""What the service does: accept, dispatch, finish, cancel, retain."""

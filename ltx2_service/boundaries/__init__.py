"""One module an outside thing: the database, files, sockets, processes."""

"""Workers on the machines of a Ray cluster.

    service --- RayExecutor == driver process --- actors, one a card --- worker processes

RayExecutor imports no Ray: a Ray driver ends with the head of its cluster, at once and without an
exception (rpc_client.h: "The program will terminate"), so it is a process of its own, which is
started again. An actor is a LocalExecutor of one card, on the card's machine: it brings up, watches
and replaces the same worker as on one machine, and nothing is lost with the actor itself.
"""

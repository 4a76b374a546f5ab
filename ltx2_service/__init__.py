"""The video service: text and pictures in, clips out, on the cards of one machine.

    http        thin: the user's own API, OpenAI's videos, events, health, the page
    jobs        accept, dispatch, finish, cancel, retain: what the service does
    worker      the process of one card, which outlives the API
    boundaries  the store (SQLite), files, sockets, processes
    rules       which clip is next, what a request means, how errors look; pure
    values      jobs, settings, what is told of cards

Imports point down in this order; the worker stands beside jobs, and neither imports the other. Of
ltx2_patcher it uses the models' wing and the launch; the tool starts it as `python -m ltx2_service`
and imports nothing of it.
"""

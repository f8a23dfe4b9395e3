"""The HTTP server: uvicorn with bounds on everything that a connection may send before it is authorized.

`connection` is one connection and its deadlines, `framing` counts what it sends, `connections` are all of a process
and who has to go when there are too many, `descriptors` derives how many there may be, `answers` writes the problems
that the server gives by itself. It serves any ASGI application and knows nothing of ours but the form of a problem.
"""

"""The HTTP server: uvicorn, with limits on everything that a connection may send before it is authorized.

`timed_connection` is one connection and its deadlines, `http_protocol` reads its requests, `framing` counts their
bytes. `connections` counts all connections of a process and chooses which to close when there are too many,
`descriptors` computes how many there may be. `error_responses` writes the problem responses of the server itself. The
server runs any ASGI application; of the API it only uses the format of problems.
"""

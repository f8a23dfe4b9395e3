"""The HTTP API: Litestar routes, the ASGI middleware around them, request decoding and problem responses.

Only this package and `bootstrap` import Litestar. Business rules are in `service`.
"""

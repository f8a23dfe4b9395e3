"""The HTTP edge: the only room that knows Litestar. It reads, judges form, and writes answers down; rules are below."""

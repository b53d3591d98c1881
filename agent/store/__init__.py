"""PostgreSQL: the only bus and the only store. Nothing outside sees a cursor."""

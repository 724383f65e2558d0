"""How the tables came to be, one step after the other. Alembic runs them; see :mod:`tracegate.store.upgrade`."""

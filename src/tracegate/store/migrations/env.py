"""On which connection does a migration run? On the one that :mod:`tracegate.store.upgrade` has begun."""

from __future__ import annotations

from alembic import context

from tracegate.store.upgrade import VERSION_TABLE

__all__ = ()

# One transaction around everything, opened and ended outside: a step that fails leaves no half of itself.
context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE, transactional_ddl=True
)
context.run_migrations()

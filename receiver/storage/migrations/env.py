"""Alembic runs the migrations on the connection that storage.database hands over: one transaction for all of them."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()

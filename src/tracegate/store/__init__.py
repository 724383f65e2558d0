"""What is kept: events, hourly figures, the audit log and recorded streams, on SQLite and on PostgreSQL."""

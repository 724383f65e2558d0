"""Where does an event of any day find its partition? The database makes it, with the rights of who ran this step.

So a service writes with a login that may insert and nothing more. A day is attached, not created in place: readers and
writers of the other days go on meanwhile. SQLite has no partitions and nothing to do.

Source: contract clause H1.
"""

from __future__ import annotations

from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DAYS_AHEAD = 7

# Row triggers come with the attachment of a day; TRUNCATE has statement triggers only, and those do not.
_TRIGGER = (
    "CREATE TRIGGER tb_ops_event_no_truncate BEFORE TRUNCATE ON %I"
    " FOR EACH STATEMENT EXECUTE FUNCTION tracegate_append_only()"
)

_EACH_DAY = """
DO $$
DECLARE
    day_table regclass;
BEGIN
    FOR day_table IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'tb_ops_event'::regclass LOOP
        EXECUTE format('{statement}', day_table);
    END LOOP;
END $$
"""

# A query, not to_regclass(): that one answers from a cache, which does not know what was made while this one waited.
_KNOWN = (
    "SELECT 1 FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'tb_ops_event'::regclass AND relname = day_table"
)

_MAKE_DAY = """
CREATE FUNCTION tracegate_make_day(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day_table text := 'tb_ops_event_' || to_char(wanted, 'YYYYMMDD');
BEGIN
    IF EXISTS ({known}) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tb_ops_event'), hashtext(day_table));
    IF EXISTS ({known}) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE tb_ops_event INCLUDING ALL)', day_table);
    EXECUTE format('{trigger}', day_table);
    EXECUTE format('ALTER TABLE tb_ops_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', day_table,
                   wanted::timestamp AT TIME ZONE 'UTC', (wanted + 1)::timestamp AT TIME ZONE 'UTC');
    RETURN true;
END $$
"""


def upgrade() -> None:
    """Offer ``tracegate_make_day(date)``, and make today and the days ahead."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(_EACH_DAY.format(statement=_TRIGGER.replace("%I", "%s")))
        op.execute(_MAKE_DAY.format(known=_KNOWN, trigger=_TRIGGER))
        today = "(now() AT TIME ZONE 'UTC')::date"
        days = f"generate_series(-1, {_DAYS_AHEAD}) AS ahead"
        op.execute(f"SELECT tracegate_make_day({today} + ahead) FROM {days}")  # noqa: S608 - all of it is above


def downgrade() -> None:
    """Take the function away; the days stay until their table goes."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION tracegate_make_day(date)")
        op.execute(_EACH_DAY.format(statement="DROP TRIGGER tb_ops_event_no_truncate ON %s"))

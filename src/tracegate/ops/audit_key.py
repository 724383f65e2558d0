"""With which key is the audit log kept here? That of the environment, for who was given none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.settings import load_audit_key
from tracegate.store.audit_hash import AuditKey

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["audit_key"]


def audit_key(environ: Mapping[str, str] | None = None) -> AuditKey | None:
    """Return the key of ``TRACEGATE_AUDIT_KEY``, or None where it is not set.

    Args:
        environ: Instead of ``os.environ``.

    Raises:
        ConfigurationError: It is too short; also where it is set and empty.
    """
    secret = load_audit_key(environ)
    return None if secret is None else AuditKey(secret)

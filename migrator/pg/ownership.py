"""
Checks that migrator's own tables belong to trusted roles.

A role with CREATE on a schema could put a view, or a table with a trigger, a rule or a
policy, in place of goose's or migrator's table, and its functions would run with the
rights of the migrating role. Trusted are that role, the roles it is a member of, the
database's owner and superusers: as owners of a table, of its partitions and children,
and of every function, operator, type and relation that something attached to one of
them calls.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from migrator.domain.facts import ServerMessage
from migrator.errors import AccessDeniedError, ForeignObjectError


# The first query is cheap and finds nothing for tables that goose and migrator create;
# the second one takes 6 ms, mostly planning. Superusers count as members of every role
# for pg_has_role (acl.c: is_member_of_role), so the memberships are followed here.
CHECK = """
DO $check$
DECLARE
    relations oid[] := current_setting('migrator.objects')::oid[];
BEGIN
    PERFORM set_config('migrator.findings', '[]', true);
    IF NOT EXISTS (
        SELECT FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = ANY (relations) AND (c.relkind <> 'r' OR c.relpersistence = 't'
            OR c.relhastriggers OR c.relhasrules OR c.relrowsecurity
            OR c.relhassubclass
            OR NOT (r.rolsuper OR r.rolname IN (current_user, session_user)))
    ) AND NOT EXISTS (
        SELECT FROM pg_depend part JOIN pg_depend used USING (classid, objid)
        WHERE part.refclassid = 'pg_class'::regclass AND part.refobjid = ANY (relations)
            AND used.refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass,
                'pg_operator'::regclass)
    ) AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
            AND objid = ANY (relations) AND refclassid = 'pg_type'::regclass
    ) THEN
        RETURN;
    END IF;
    PERFORM set_config('migrator.findings',
        coalesce(json_agg(finding)::text, '[]'), true)
    FROM (
        WITH RECURSIVE own (role) AS (
            SELECT oid FROM pg_roles WHERE rolname IN (current_user, session_user)
            UNION
            SELECT m.roleid FROM pg_auth_members m JOIN own ON own.role = m.member
        ), trusted (role) AS (
            SELECT role FROM own
            UNION SELECT oid FROM pg_roles
                WHERE rolsuper OR rolname = 'pg_database_owner'
            UNION SELECT datdba FROM pg_database WHERE datname = current_database()
        ), tree (root, id) AS (
            SELECT id, id FROM unnest(relations) id
            UNION
            SELECT tree.root, inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.id
        ), parts (root, class, id, kind, name) AS (
            SELECT root, 'pg_class'::regclass, id, 'column type', NULL::name FROM tree
            UNION ALL
            SELECT root, 'pg_class'::regclass, indexrelid, 'index', relname
            FROM pg_index JOIN tree ON indrelid = id
                JOIN pg_class ON pg_class.oid = indexrelid
            UNION ALL
            SELECT root, 'pg_trigger'::regclass, t.oid, 'trigger', tgname
            FROM pg_trigger t JOIN tree ON tgrelid = id WHERE NOT tgisinternal
            UNION ALL
            SELECT root, 'pg_rewrite'::regclass, r.oid, 'rule', rulename
            FROM pg_rewrite r JOIN tree ON ev_class = id
            UNION ALL
            SELECT root, 'pg_policy'::regclass, p.oid, 'policy', polname
            FROM pg_policy p JOIN tree ON polrelid = id
            UNION ALL
            SELECT root, 'pg_attrdef'::regclass, d.oid, 'default of', attname
            FROM pg_attrdef d JOIN tree ON adrelid = id
                JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
            UNION ALL
            SELECT root, 'pg_constraint'::regclass, c.oid, 'constraint', conname
            FROM pg_constraint c JOIN tree ON conrelid = id
        ), found (root, part, kind, owner, problem) AS (
            SELECT root, CASE WHEN root <> id THEN id::regclass::text END, CASE
                    WHEN relpersistence = 't' THEN 't' ELSE relkind::text END,
                relowner,
                CASE WHEN relowner IN (SELECT role FROM trusted) THEN 'kind'
                    ELSE 'owner' END
            FROM tree JOIN pg_class ON pg_class.oid = id
            WHERE relkind NOT IN ('r', 'p') OR relpersistence = 't'
                OR relowner NOT IN (SELECT role FROM trusted)
            UNION ALL
            SELECT root, name, kind, owner, 'code'
            FROM parts JOIN pg_depend d ON d.classid = class AND d.objid = id
            CROSS JOIN LATERAL (
                SELECT proowner FROM pg_proc
                WHERE d.refclassid = 'pg_proc'::regclass AND oid = d.refobjid
                UNION ALL SELECT oprowner FROM pg_operator
                WHERE d.refclassid = 'pg_operator'::regclass AND oid = d.refobjid
                UNION ALL SELECT typowner FROM pg_type
                WHERE d.refclassid = 'pg_type'::regclass AND oid = d.refobjid
                UNION ALL SELECT relowner FROM pg_class
                WHERE d.refclassid = 'pg_class'::regclass AND oid = d.refobjid
            ) used (owner)
            WHERE owner NOT IN (SELECT role FROM trusted)
            UNION ALL
            SELECT root, string_agg(polname, ', ' ORDER BY polname), 'policy', NULL,
                'row security'
            FROM tree LEFT JOIN pg_policy ON polrelid = id
            WHERE row_security_active(id) GROUP BY root
        )
        SELECT root::bigint AS id, root::regclass::text AS "table", part, kind,
            pg_get_userbyid(owner) AS owner, problem
        FROM found
        ORDER BY problem = 'row security', problem = 'code', problem = 'kind'
    ) finding;
END $check$"""
"""
Checks the relations whose OIDs are the array in the parameter `migrator.objects`, and
sets `migrator.findings` for `read_findings`; both parameters end with the transaction.
It is a statement of its own in an own message (`migrator.pg.connection.own_messages`).
"""

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "c": "a composite type",
    "i": "an index",
    "I": "an index",
    "t": "a temporary table",
    "r": "a table",
    "p": "a partitioned table",
}


class OwnershipFinding(NamedTuple):
    """One reason not to use a table."""

    id: int
    """The table's OID."""

    table: str
    """Its name, qualified and quoted."""

    part: str | None
    kind: str
    owner: str | None
    problem: str
    """`owner`, `kind`, `code` or `row security`."""

    @property
    def reason(self) -> str:
        """Return the reason, as the predicate of a sentence about the table."""
        subject = f"its partition or child {self.part}" if self.part else "it"
        kind = _KINDS.get(self.kind, self.kind)
        match self.problem:
            case "owner":
                return f"{subject} is {kind} owned by {self.owner}, {_NOT_TRUSTED}"
            case "kind":
                return (
                    f"{subject} is {kind} owned by {self.owner}, not a permanent table"
                )
            case "code":
                name = f" {self.part}" if self.part else ""
                code = f"code owned by {self.owner}, {_NOT_TRUSTED}"
                return f"its {self.kind}{name} runs {code}"
            case _:
                policies = f" (policies: {self.part})" if self.part else ""
                return f"row-level security hides rows of it from this role{policies}"

    @property
    def error(self) -> ForeignObjectError | AccessDeniedError:
        """Return the error that the table cannot be used."""
        if self.problem == "row security":
            server = ServerMessage(None, f"{self.table}: {self.reason}")
            return AccessDeniedError(server, remedy=_SEE_ALL)
        owner = self.owner or ""
        return ForeignObjectError(self.table, owner=owner, reason=self.reason)


_NOT_TRUSTED = (
    "who is neither this role, nor a role that it is a member of, nor the database's"
    " owner, nor a superuser"
)
_SEE_ALL = (
    "connect as the table's owner, give the role BYPASSRLS, or ALTER TABLE …"
    " DISABLE ROW LEVEL SECURITY"
)


def read_findings(text: object) -> tuple[OwnershipFinding, ...]:
    """Return the findings in the value of `migrator.findings`."""
    return tuple(OwnershipFinding(**each) for each in json.loads(str(text)))


def check_findings(findings: Iterable[OwnershipFinding], table: int) -> None:
    """
    Raise the first of *findings* about the relation with OID *table*, if any.

    Raises:
        ForeignObjectError: A role that is not trusted owns it or what it calls.
        AccessDeniedError: Row-level security hides rows from this role.
    """
    for finding in findings:
        if finding.id == table:
            raise finding.error

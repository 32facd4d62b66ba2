# SPDX-License-Identifier: ZPL-2.1
"""The tables and functions of postgresql:, and which databases are taken for ones of its own.

    zodb_object(oid, tid, state)            one row for each object: id, revision, state
    zodb_change(tid, xid, session, oids)    one row for each commit, as long as somebody may ask: its
                                            revision, PostgreSQL's own transaction, the view that
                                            made
                                            it, the objects; NULL for very many
    zodb_store(version, code, trimmed)      one row: versions of tables and functions; who has not
                                            asked since that transaction is to forget all objects
    zodb_block                              a sequence, of blocks of ids

Nothing that a commit changes in zodb_object is indexed, so that PostgreSQL writes the new row
beside the old one and leaves the indexes alone. A function whose arguments change gets another
name: older programs may still be at work.
"""
from __future__ import annotations

from typing import Any

from ZODB.POSException import StorageError

from p01.remote.storage.core import CHANGES
from p01.remote.storage.postgresql.link import asked

OLDEST = 13         # PostgreSQL that has xid8
VERSION = 1         # of the tables
CODEVERSION = 1            # of the functions
ADVISORYLOCK = 0x703031, 1  # held by who opens
OPENINGWAIT = 60        # seconds to wait for others that open
IDS = 128           # in a block
# commits that zodb_change keeps at least: who asks more rarely forgets all
CHANGESKEPT = 10_000
OTHERS = -1         # among changed objects: there are more
CONFLICT = -1       # as the id of the first row of an answer: what follows has the older states

TABLES = f'''
CREATE TABLE zodb_object (oid bigint PRIMARY KEY, tid bigint NOT NULL, state bytea NOT NULL)
    WITH (fillfactor = 90);
ALTER TABLE zodb_object ALTER state SET STORAGE EXTERNAL;
CREATE TABLE zodb_change (tid bigint PRIMARY KEY, xid xid8 NOT NULL, session bigint NOT NULL, oids bigint[]);
CREATE INDEX zodb_change_xid ON zodb_change (xid);
CREATE TABLE zodb_store (version integer NOT NULL, code integer NOT NULL, trimmed xid8 NOT NULL);
INSERT INTO zodb_store VALUES ({VERSION}, 0, '0');
CREATE SEQUENCE zodb_block'''

# In a REPEATABLE READ transaction: all or nothing. A row that somebody changes meanwhile raises
# serialization_failure, after his commit, and what stands in the way otherwise ZC001. Either undoes
# what the function did and nothing else, so that the snapshot still has the states that the changes
# are based on. Rows are locked in the order of their ids, in which they are given.
VOTE = f'''
CREATE OR REPLACE FUNCTION zodb_vote(final bigint, who bigint, news bigint[], firsts bytea[], ids bigint[],
    serials bigint[], states bytea[], checks bigint[], expected bigint[], noted bigint[])
    RETURNS TABLE (o bigint, t bigint, s bytea)
LANGUAGE plpgsql AS $$
DECLARE done bigint; more bigint; wanted bigint := cardinality(ids) + cardinality(news) + cardinality(checks);
BEGIN
    BEGIN
        IF cardinality(ids) = 1 THEN
            UPDATE zodb_object SET tid = final, state = states[1] WHERE oid = ids[1] AND tid = serials[1];
        ELSE
            UPDATE zodb_object SET tid = final, state = new.state
                FROM unnest(ids, serials, states) new (oid, serial, state)
                WHERE zodb_object.oid = new.oid AND tid = new.serial;
        END IF;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF cardinality(news) > 0 THEN
            INSERT INTO zodb_object SELECT new.oid, final, new.state
                FROM unnest(news, firsts) new (oid, state) ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS more = ROW_COUNT;
            done := done + more;
        END IF;
        IF cardinality(checks) > 0 THEN     -- last, without waiting: who holds these locks waits for nobody
            PERFORM 1 FROM zodb_object, unnest(checks, expected) want (oid, serial)
                WHERE zodb_object.oid = want.oid AND tid = want.serial FOR SHARE OF zodb_object SKIP LOCKED;
            GET DIAGNOSTICS more = ROW_COUNT;
            done := done + more;
        END IF;
        IF done < wanted THEN
            RAISE SQLSTATE 'ZC001';
        END IF;
        IF who <> 0 THEN
            INSERT INTO zodb_change VALUES (final, pg_current_xact_id(), who, noted);
        END IF;
    EXCEPTION WHEN serialization_failure OR unique_violation OR deadlock_detected OR SQLSTATE 'ZC001' THEN
        RETURN QUERY SELECT {CONFLICT}::bigint, 0::bigint, NULL::bytea;
        RETURN QUERY SELECT oid, tid, state FROM zodb_object WHERE oid = ANY(ids);
    END;
END $$'''

# In a READ COMMITTED transaction: writes what can be, and returns what stands in the way, locked,
# with 0 for what is not there; checks that do not hold as -2 - id.
JUDGE = '''
CREATE OR REPLACE FUNCTION zodb_judge(final bigint, news bigint[], firsts bytea[], ids bigint[],
    serials bigint[], states bytea[], checks bigint[], expected bigint[])
    RETURNS TABLE (o bigint, t bigint, s bytea)
LANGUAGE plpgsql AS $$
DECLARE done bigint;
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM 1 FROM zodb_object WHERE oid = ANY(ids) ORDER BY oid FOR NO KEY UPDATE;
        UPDATE zodb_object SET tid = final, state = new.state
            FROM unnest(ids, serials, states) new (oid, serial, state)
            WHERE zodb_object.oid = new.oid AND tid = new.serial;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done < cardinality(ids) THEN
            RETURN QUERY SELECT want.oid, coalesce(zodb_object.tid, 0), coalesce(zodb_object.state, '')
                FROM unnest(ids) want (oid) LEFT JOIN zodb_object USING (oid)
                WHERE zodb_object.tid IS DISTINCT FROM final;
        END IF;
    END IF;
    IF cardinality(news) > 0 THEN
        INSERT INTO zodb_object SELECT new.oid, final, new.state FROM unnest(news, firsts) new (oid, state)
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done < cardinality(news) THEN
            RETURN QUERY SELECT oid, tid, state FROM zodb_object WHERE oid = ANY(news) AND tid <> final
                FOR NO KEY UPDATE;
        END IF;
    END IF;
    IF cardinality(checks) > 0 THEN
        RETURN QUERY WITH have AS MATERIALIZED (
                SELECT oid, tid FROM zodb_object WHERE oid = ANY(checks) FOR SHARE SKIP LOCKED)
            SELECT -2 - want.oid, coalesce((SELECT tid FROM zodb_object WHERE oid = want.oid), 0), ''::bytea
            FROM unnest(checks, expected) want (oid, serial)
            WHERE NOT EXISTS (SELECT FROM have WHERE have.oid = want.oid AND have.tid = want.serial);
    END IF;
END $$'''

# Below the oldest transaction that runs anywhere nobody's snapshot ends.
OTHER = f'''
CREATE OR REPLACE FUNCTION zodb_trim() RETURNS void LANGUAGE plpgsql AS $$
DECLARE bound xid8 := (SELECT xid FROM zodb_change ORDER BY xid DESC OFFSET {CHANGESKEPT} LIMIT 1);
BEGIN
    bound := least(bound, pg_snapshot_xmin(pg_current_snapshot()));
    IF bound > (SELECT trimmed FROM zodb_store) AND pg_try_advisory_xact_lock({ADVISORYLOCK[0]}, 2) THEN
        DELETE FROM zodb_change WHERE xid < bound;
        UPDATE zodb_store SET trimmed = bound;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION zodb_ids() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE used bigint := coalesce((SELECT max(oid) FROM zodb_object), 0) / {IDS};
    got bigint := nextval('zodb_block');
BEGIN
    RETURN {IDS} * CASE WHEN got > used THEN got ELSE setval('zodb_block', used + 1) END;
END $$'''

# Numbers of transactions that this server has never had: the tables were dumped elsewhere, and
# restored here.
TRIMMED = '''SELECT EXISTS (SELECT FROM zodb_store WHERE trimmed > pg_snapshot_xmax(pg_current_snapshot())
    UNION ALL SELECT FROM zodb_change WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))'''
RESTORED = "BEGIN; DELETE FROM zodb_change; UPDATE zodb_store SET trimmed = '0'; COMMIT"

# seqscan and the joins: what is looked up is looked up by the primary key, however small a table is
# when it is planned.
SESSIONSETTINGS = '''SET jit TO off; SET enable_seqscan TO off; SET enable_hashjoin TO off;
SET enable_mergejoin TO off;
SET plan_cache_mode TO force_generic_plan; SET lock_timeout TO {}'''
STATEMENTS = {
    b'begin': 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    b'write': 'BEGIN ISOLATION LEVEL READ COMMITTED',
    b'commit': 'COMMIT',
    b'rollback': 'ROLLBACK',
    b'notify': 'NOTIFY p01_remote',
    b'start': 'SELECT pg_current_snapshot()::text',
    # The ends of an older snapshot, who was running then, and who we are; a change that the older
    # snapshot shows is not told.
    b'poll': f'''SELECT pg_current_snapshot()::text, ARRAY(
        SELECT unnest(coalesce(oids, '{{{OTHERS}}}')) FROM zodb_change
        WHERE xid >= $1::xid8 AND session <> $4::bigint
        UNION ALL SELECT unnest(coalesce(oids, '{{{OTHERS}}}')) FROM zodb_change
        WHERE xid = ANY($2::xid8[]) AND session <> $4
        UNION ALL SELECT {OTHERS} FROM zodb_store WHERE trimmed > $3::xid8 LIMIT {CHANGES})''',
    b'load': 'SELECT state, tid FROM zodb_object WHERE oid = $1::bigint',
    b'loads': 'SELECT oid, tid, state FROM zodb_object WHERE oid = ANY($1::bigint[])',
    b'last': 'SELECT coalesce(max(tid), 0) FROM zodb_change',
    b'after': 'SELECT oid FROM zodb_object WHERE oid >= $1::bigint ORDER BY oid LIMIT $2::bigint',
    b'older': '''SELECT oid FROM zodb_object WHERE oid > $1::bigint AND tid <= $2::bigint
        ORDER BY oid LIMIT $3::bigint''',
    b'vote': '''SELECT * FROM zodb_vote($1::bigint, $2::bigint, $3::bigint[], $4::bytea[], $5::bigint[],
        $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[], $10::bigint[])''',
    b'judge': '''SELECT * FROM zodb_judge($1::bigint, $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[],
        $6::bytea[], $7::bigint[], $8::bigint[])''',
    b'note': 'INSERT INTO zodb_change VALUES ($1::bigint, pg_current_xact_id(), $2::bigint, '
             '$3::bigint[])',
    b'renote': '''INSERT INTO zodb_change VALUES ($1::bigint, pg_current_xact_id(), $2::bigint, $3::bigint[])
        ON CONFLICT (tid) DO UPDATE SET xid = excluded.xid, session = excluded.session,
        oids = zodb_change.oids || excluded.oids''',
    b'restore': '''INSERT INTO zodb_object SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
        ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, state = excluded.state
        WHERE excluded.tid >= zodb_object.tid''',
    b'remove': '''DELETE FROM zodb_object USING unnest($1::bigint[], $2::bigint[]) gone (oid, tid)
        WHERE zodb_object.oid = gone.oid AND zodb_object.tid <= gone.tid''',
    # Whether a commit was done, which can not be done any more then: who notes it first wins, and
    # waits for who is at it.
    b'settle': '''WITH settled AS (
        INSERT INTO zodb_change VALUES ($1::bigint, pg_current_xact_id(), $2::bigint, '{}')
        ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM settled''',
    b'done': 'SELECT count(*) FROM zodb_change WHERE tid = $1::bigint AND session = $2::bigint',
    b'trim': 'SELECT zodb_trim()',
    b'ids': 'SELECT zodb_ids()',
    b'count': 'SELECT count(*) FROM zodb_object',
    b'size': "SELECT pg_total_relation_size('zodb_object')",
}


class Unfit(StorageError):
    """This is no database of this kind."""


def prepare(raw: Any, name: str, readOnly: bool) -> None:
    """Make the tables if there are none, and the functions that are missing or older; nobody else
    opens meanwhile.

    raw is a connection of psycopg.pq. Raises Unfit and Refused.
    """
    if raw.server_version < OLDEST * 10_000:
        raise Unfit(f'{name} is on PostgreSQL {raw.server_version // 10_000}; move it to {OLDEST} '
                    'or newer.')
    known = asked(raw, "SELECT to_regclass('zodb_store') IS NOT NULL, "
                       "to_regclass('object_state') IS NOT NULL")
    if known[0] == 't':
        version, code = map(int, asked(raw, 'SELECT version, code FROM zodb_store'))
        if version > VERSION:
            raise Unfit(f'{name} was made by a newer p01.remote (version {version} of its tables, '
                        f'{VERSION} here); upgrade the package.')
        if readOnly:
            return
        if asked(raw, TRIMMED) == ['t']:
            asked(raw, RESTORED)
        if code >= CODEVERSION:
            return
        made = ''
    else:
        if known[1] == 't':
            raise Unfit(f'{name} holds a database of RelStorage; describe it in a configuration '
                        'file and open it by zconfig:FILE, or move it to a new one: p01-remote '
                        'copy zconfig:FILE postgresql://HOST/NAME.')
        if readOnly:
            raise Unfit(f'{name} has no tables yet; open it for writing once.')
        made = f'{TABLES};'
    asked(raw,
          f'BEGIN; {made}{VOTE};{JUDGE};{OTHER}; UPDATE zodb_store SET code = {CODEVERSION}; '
          'COMMIT')

import type { TestDatabase } from './database.ts'

/** Columns, constraints and indexes of the schema public, in PostgreSQL's own words. */
const PARTS = `
  SELECT format('%s column %s %s%s%s%s', c.relname, a.attnum, a.attname || ' ' || format_type(a.atttypid, a.atttypmod),
           CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || quote_ident(l.collname) ELSE '' END,
           CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
           ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS part
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT format('%s constraint %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL
  SELECT format('%s %s', CASE relkind WHEN 'r' THEN 'table' ELSE 'other ' || relkind::text END, relname)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i')
  UNION ALL
  SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
  ORDER BY 1`

export const catalogOf = async (database: TestDatabase): Promise<string[]> =>
  (await database.query<{ part: string }>(PARTS)).map(({ part }) => part)

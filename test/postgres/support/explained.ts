import type pg from 'pg'

/** The plan that a prepared statement keeps, and the one for these values. Inside a transaction. */
export async function plansOf(client: pg.PoolClient, sql: string, values: readonly unknown[]): Promise<string[]> {
  const params = values.map(() => 'NULL').join()
  // EXPLAIN (GENERIC_PLAN) is not there before PostgreSQL 16.
  await client.query(`PREPARE one AS ${sql}; SET LOCAL plan_cache_mode = force_generic_plan`)
  const explain = [`EXPLAIN EXECUTE one${params && `(${params})`}`, `EXPLAIN ${sql}`] as const
  const plans = [await client.query<Line>(explain[0]), await client.query<Line>(explain[1], [...values])]
  await client.query('DEALLOCATE one')
  return plans.map(({ rows }) => rows.map((row) => row['QUERY PLAN']).join('\n'))
}

interface Line {
  readonly 'QUERY PLAN': string
}

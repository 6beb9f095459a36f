/** All there is to measure, in the order of the tables. */
import type { Benchmark } from './context.ts'
import { bulk } from './rows/bulk.ts'
import { cache } from './rows/cache.ts'
import { cachePeers } from './rows/cache-peers.ts'
import { changes } from './rows/changes.ts'
import { contention } from './rows/contention.ts'
import { copy } from './rows/copy.ts'
import { filters } from './rows/filters.ts'
import { growth } from './rows/growth.ts'
import { growthOnPostgres } from './rows/growth-postgres.ts'
import { inFlight } from './rows/in-flight.ts'
import { firstRow, iterate } from './rows/iterate.ts'
import { memory } from './rows/memory.ts'
import { ownTables } from './rows/own-tables.ts'
import { postgres } from './rows/postgres.ts'
import { postgresPeers } from './rows/postgres-peers.ts'
import { reads } from './rows/reads.ts'
import { replication } from './rows/replication.ts'
import { shop } from './rows/shop.ts'
import { sizes } from './rows/sizes.ts'
import { sqlitePeers } from './rows/sqlite-peers.ts'
import { start } from './rows/start.ts'
import { liveSwitch } from './rows/switch.ts'
import { syncs } from './rows/syncs.ts'
import { writes } from './rows/writes.ts'

export const BENCHMARKS: readonly Benchmark[] = [
  ...[
    syncs,
    reads,
    cache,
    writes,
    inFlight,
    postgres,
    copy,
    liveSwitch,
    changes,
    start,
    memory,
    growth,
    growthOnPostgres,
  ],
  ...[filters, sqlitePeers, bulk, iterate, firstRow, cachePeers, postgresPeers, contention, sizes, shop, replication],
  ownTables,
]

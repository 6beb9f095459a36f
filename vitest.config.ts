import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import CanaryReporter from './test/canaries/reporter.ts'
import FiguresReporter from './test/faults/figures-reporter.ts'
import CountsReporter from './test/support/counts-reporter.ts'

const report = process.env.TEST_REPORT
const json = (outputFile: string): ['json', { outputFile: string }] => ['json', { outputFile }]

const BUNDLED = [
  'drizzle-orm',
  'drizzle-orm/better-sqlite3',
  'drizzle-orm/better-sqlite3/migrator',
  'drizzle-orm/node-postgres',
  'drizzle-orm/node-postgres/migrator',
  'drizzle-orm/pg-core',
  'drizzle-orm/sqlite-core',
  'drizzle-zod',
  'zod',
]

/**
 * What `npm run test:faults` runs: processes that are killed, servers that go away, disks that fail, hours of it. Also what
 * starts so many processes or databases that `npm test` would take longer than five minutes.
 */
const FAULTS = [
  'test/faults/**/*.test.ts',
  'test/adoption/checked-rows.test.ts',
  'test/adoption/looking.test.ts',
  'test/adoption/processes.test.ts',
  'test/adoption/python-files.test.ts',
  'test/alerts.test.ts',
  'test/backup/command-restore.test.ts',
  'test/backup/command.test.ts',
  'test/backup/disk.test.ts',
  'test/backup/event-loop.test.ts',
  'test/backup/in-use.test.ts',
  'test/backup/own-tables.test.ts',
  'test/backup/postgres.test.ts',
  'test/backup/replace.test.ts',
  'test/backup/schedule-processes.test.ts',
  'test/backup/schedule.test.ts',
  'test/backup/schemas.test.ts',
  'test/backup/source.test.ts',
  'test/changes/lost-commits.test.ts',
  'test/changes/postgres.test.ts',
  'test/changes/processes.test.ts',
  'test/check/command.test.ts',
  'test/check/file.test.ts',
  'test/cli/cache.test.ts',
  'test/cli/documented-errors.test.ts',
  'test/cli/exit-codes.test.ts',
  'test/cli/look.test.ts',
  'test/cli/secrets.test.ts',
  'test/cli/terminal.test.ts',
  'test/cli/urls.test.ts',
  'test/demo.test.ts',
  'test/deploy.test.ts',
  'test/documents-postgres.test.ts',
  'test/migrator/adopt.test.ts',
  'test/migrator/backup.test.ts',
  'test/migrator/baseline.test.ts',
  'test/migrator/drift-postgres.test.ts',
  'test/migrator/drizzle-kit-config.test.ts',
  'test/migrator/drizzle-kit.test.ts',
  'test/migrator/failing.test.ts',
  'test/migrator/one-ledger.test.ts',
  'test/migrator/rebuild.test.ts',
  'test/migrator/refusals.test.ts',
  'test/migrator/repair.test.ts',
  'test/migrator/waiting.test.ts',
  'test/migrator/whole-schema.test.ts',
  'test/move/command.test.ts',
  'test/move/directions.test.ts',
  'test/move/live/calls.test.ts',
  'test/move/live/controls.test.ts',
  'test/move/live/full-disk.test.ts',
  'test/move/live/given-up.test.ts',
  'test/move/live/kills.test.ts',
  'test/move/live/moves.test.ts',
  'test/move/live/others.test.ts',
  'test/move/live/own-tables.test.ts',
  'test/move/live/programs.test.ts',
  'test/move/live/refusals.test.ts',
  'test/move/live/rows.test.ts',
  'test/move/live/stops.test.ts',
  'test/move/live/under-way.test.ts',
  'test/move/move-command.test.ts',
  'test/move/other-tables.test.ts',
  'test/move/own-tables.test.ts',
  'test/move/refusals.test.ts',
  'test/move/versions.test.ts',
  'test/postgres/call-order-controls.test.ts',
  'test/postgres/contention.test.ts',
  'test/postgres/isolation.test.ts',
  'test/postgres/migrations-beside-writes.test.ts',
  'test/postgres/plans.test.ts',
  'test/postgres/refusals.test.ts',
  'test/postgres/secrets.test.ts',
  'test/postgres/transaction-mode.test.ts',
  'test/property/interleavings.test.ts',
  'test/replication/bucket.test.ts',
  'test/replication/chain.test.ts',
  'test/replication/damage.test.ts',
  'test/replication/litestream.test.ts',
  'test/replication/own-tables.test.ts',
  'test/replication/replicate.test.ts',
  'test/runbook.test.ts',
  'test/schema/add-table.test.ts',
  'test/schema/db-generate.test.ts',
  'test/schema/migrations.test.ts',
  'test/schema/studio.test.ts',
  'test/sqlite/backup.test.ts',
  'test/sqlite/event-loop.test.ts',
  'test/sqlite/processes.test.ts',
  'test/tables/beside-others.test.ts',
  'test/tables/command-line.test.ts',
  'test/tables/guide.test.ts',
  'test/tables/opening.test.ts',
  'test/transfer/equal-files.test.ts',
  'test/transfer/exporting.test.ts',
  'test/transfer/round-trip.test.ts',
]
const MESH_API_FAULTS = [
  'examples/mesh-api/test/changes.test.ts',
  'examples/mesh-api/test/guard.test.ts',
  'examples/mesh-api/test/looks.test.ts',
  'examples/mesh-api/test/many-paths.test.ts',
  'examples/mesh-api/test/page.test.ts',
  'examples/mesh-api/test/processes.test.ts',
]
/** And these again, at length: `npm test` has a brief form of each. */
const AT_LENGTH = [
  'test/property/*.test.ts',
  'test/backup/damage.test.ts',
  'test/changes/crashes.test.ts',
  'test/postgres/batch-plans.test.ts',
]
/** Whatever takes so long hangs: how slow the machine is does not decide a test. */
const HANGING_MS = 15 * 60_000
/** See test/support/bounds.ts. */
const form = process.env.TEST_FORM ?? 'short'
const { KILL_CYCLES, PATH_REQUESTS } = process.env

export default defineConfig({
  // Not in node_modules, which several working trees may share.
  cacheDir: '.vitest',
  // As an application names it; here it is the source.
  resolve: {
    alias: [
      { find: /^meshstore$/, replacement: join(import.meta.dirname, 'src/index.ts') },
      { find: /^meshstore\/tables\/(.+)$/, replacement: join(import.meta.dirname, 'src/tables-$1-entry.ts') },
      { find: /^meshstore\/(.+)$/, replacement: join(import.meta.dirname, 'src/$1-entry.ts') },
    ],
  },
  test: {
    setupFiles: ['test/canaries/setup.ts'],
    globalSetup: ['test/support/shared-setup.ts', 'test/support/postgres-setup.ts'],
    pool: 'forks',
    // Each test file is a process of its own, in which Node takes half a second to find drizzle-orm's many files.
    deps: { optimizer: { ssr: { enabled: true, include: BUNDLED } } },
    // Many wait for processes of their own, or for a limit: a worker for each core would leave it idle some of the time.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    reporters: [
      'default',
      new CountsReporter(),
      new CanaryReporter(),
      new FiguresReporter(),
      ...(report ? [json(report)] : []),
    ],
    projects: [
      {
        extends: true,
        test: {
          name: 'suites',
          include: ['test/**/*.test.ts', 'examples/mesh-api/test/*.test.ts'],
          exclude: [...FAULTS, ...MESH_API_FAULTS],
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: [...FAULTS, ...AT_LENGTH],
          env: { TEST_FORM: form },
          testTimeout: HANGING_MS,
          hookTimeout: HANGING_MS,
        },
      },
      {
        extends: true,
        test: {
          name: 'faults-mesh-api',
          include: MESH_API_FAULTS,
          testTimeout: HANGING_MS,
          hookTimeout: HANGING_MS,
          env: {
            KILL_CYCLES: KILL_CYCLES ?? (form === 'long' ? '100' : '6'),
            PATH_REQUESTS: PATH_REQUESTS ?? (form === 'long' ? '10000' : '500'),
          },
        },
      },
    ],
  },
})

import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import CanaryReporter from './test/canaries/reporter.ts'
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

export default defineConfig({
  // Not in node_modules, which several working trees may share.
  cacheDir: '.vitest',
  // As an application names it; here it is the source.
  resolve: { alias: [{ find: /^meshstore$/, replacement: join(import.meta.dirname, 'src/index.ts') }] },
  test: {
    include: ['test/**/*.test.ts', 'examples/mesh-api/test/*.test.ts'],
    setupFiles: ['test/canaries/setup.ts'],
    globalSetup: ['test/support/shared-setup.ts', 'test/support/postgres-setup.ts'],
    pool: 'forks',
    // Each test file is a process of its own, in which Node takes half a second to find drizzle-orm's many files.
    deps: { optimizer: { ssr: { enabled: true, include: BUNDLED } } },
    // Many wait for processes of their own: one worker less than there are cores would be idle half of the time.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', new CountsReporter(), new CanaryReporter(), ...(report ? [json(report)] : [])],
  },
})

import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import CanaryReporter from './test/canaries/reporter.ts'
import CountsReporter from './test/support/counts-reporter.ts'

const report = process.env.TEST_REPORT
const json = (outputFile: string): ['json', { outputFile: string }] => ['json', { outputFile }]

export default defineConfig({
  // As an application names it; here it is the source.
  resolve: { alias: [{ find: /^meshstore$/, replacement: join(import.meta.dirname, 'src/index.ts') }] },
  test: {
    include: ['test/**/*.test.ts', 'examples/mesh-api/test/*.test.ts'],
    setupFiles: ['test/canaries/setup.ts'],
    globalSetup: ['test/support/postgres-setup.ts'],
    pool: 'forks',
    // Many wait for processes of their own: one worker less than there are cores would be idle half of the time.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', new CountsReporter(), new CanaryReporter(), ...(report ? [json(report)] : [])],
  },
})

import { defineConfig } from 'vitest/config'
import CountsReporter from './test/support/counts-reporter.ts'

const report = process.env.TEST_REPORT
const json = (outputFile: string): ['json', { outputFile: string }] => ['json', { outputFile }]

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres-setup.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', new CountsReporter(), ...(report ? [json(report)] : [])],
  },
})

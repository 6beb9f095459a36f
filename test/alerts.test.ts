/** The alerting rules of examples/deploy, by Prometheus' own tool, and against the names that the library reports. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const DEPLOY = join(import.meta.dirname, '../examples/deploy')
/** Its table is compared with what the library reports: see opentelemetry.test.ts. */
const METRICS = join(import.meta.dirname, '../docs/operations/monitoring.md')
const promtool = (...args: readonly string[]) => spawnSync('promtool', args, { cwd: DEPLOY, encoding: 'utf8' })

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

test('name metrics that the library reports', () => {
  const { groups } = parse(readFileSync(join(DEPLOY, 'alerts.yml'), 'utf8')) as Rules
  const used = groups.flatMap(({ rules }) =>
    rules.flatMap(({ expr }) => expr.replaceAll(/\{.*?\}/g, '').match(/\bmeshstore_\w+/g) ?? []),
  )
  const reported = [...readFileSync(METRICS, 'utf8').matchAll(/^\| `(meshstore\.[\w.]+)`/gm)].map(
    ([, name = '']) => name,
  )
  const series = reported.flatMap((name) =>
    ['', '.bucket', '.count', '.total'].map((end) => `${name}${end}`.replaceAll('.', '_')),
  )
  expect(used.length).toBeGreaterThan(8)
  expect(used.filter((name) => !series.includes(name))).toEqual([])
})

const isThere = promtool('--version').error === undefined
if (!isThere) console.warn('*** promtool is not installed (Debian: prometheus): no alert was fired. ***')

test.skipIf(!isThere)('fire for each fault, and for nothing else', () => {
  expect(promtool('check', 'rules', 'alerts.yml')).toMatchObject({ status: 0 })
  const { status, stdout, stderr } = promtool('test', 'rules', 'alerts.test.yml')
  expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining('SUCCESS') })
})

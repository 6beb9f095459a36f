/** Says at the end how much was looked at for each dialect, and fails a run of the conformance suites in which it was nothing. */
import type { Reporter, TestModule, Vitest } from 'vitest/node'
import type { Looked } from './canary.ts'

type Dialect = 'SQLite' | 'PostgreSQL'

export default class CanaryReporter implements Reporter {
  #complete = true

  onInit({ config }: Vitest): void {
    this.#complete = config.testNamePattern === undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const dialects: readonly Dialect[] = process.env.DIALECTS === 'sqlite' ? ['SQLite'] : ['SQLite', 'PostgreSQL']
    const totals = new Map<Dialect, Looked>(dialects.map((dialect) => [dialect, { errors: 0, events: 0 }]))
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { looked } = test.meta()
        const total = totals.get(dialectOf(test.fullName, module.relativeModuleId))
        if (looked === undefined || total === undefined) continue
        total.errors += looked.errors
        total.events += looked.events
      }
    }
    console.log('\nSearched for values and passwords:')
    for (const [dialect, { errors, events }] of totals) console.log(`  ${dialect}: ${errors} errors, ${events} events`)
    const conformance = modules.some(({ relativeModuleId }) => relativeModuleId.includes('conformance/'))
    if (!this.#complete || !conformance) return
    const nothing = [...totals].filter(([, { errors, events }]) => errors === 0 || events === 0)
    for (const [dialect] of nothing) console.error(`\nNothing was looked at on ${dialect}.\n`)
    if (nothing.length > 0) process.exitCode = 1
  }
}

/** By what a case says of itself, else by where it is. */
function dialectOf(name: string, path: string): Dialect {
  if (name.includes('PostgreSQL')) return 'PostgreSQL'
  return path.includes('/postgres/') && !name.includes('SQLite') ? 'PostgreSQL' : 'SQLite'
}

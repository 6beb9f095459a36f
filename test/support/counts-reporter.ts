/** Says at the end how many cases ran on each backend, and fails the run unless they are the same ones, none skipped. */
import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'
import { BACKEND_NAMES } from './backend-names.ts'

type BackendName = (typeof BACKEND_NAMES)[number]
/** How often each case ran, by its name without that of the backend. */
type Cases = Map<string, number>

export default class CountsReporter implements Reporter {
  #complete = true

  onInit({ config }: Vitest): void {
    // With a pattern, a case may be asked for on one backend alone.
    this.#complete = config.testNamePattern === undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const names = BACKEND_NAMES.filter((name) => name !== 'PostgreSQL' || process.env.DIALECTS !== 'sqlite')
    const cases = new Map<BackendName, Cases>(names.map((name) => [name, new Map()]))
    const skipped: string[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const backend = backendOf(test)
        const counted = backend && cases.get(backend)
        if (backend === undefined || counted === undefined) continue
        const { state } = test.result()
        if (state === 'skipped') skipped.push(test.fullName)
        if (state !== 'passed') continue
        const name = `${module.relativeModuleId} > ${test.fullName.replace(`, ${backend}`, '')}`
        counted.set(name, (counted.get(name) ?? 0) + 1)
      }
    }
    console.log('\nCases passed on each backend, plain and in transactions:')
    for (const [name, counted] of cases) console.log(`  ${name}: ${sum(counted)}`)
    const problems = [...skipped.map((name) => `skipped: ${name}`), ...differences(cases)]
    if (!this.#complete || problems.length === 0) return
    console.error(`\nEvery backend runs every case; here they differ:\n  ${problems.slice(0, 20).join('\n  ')}\n`)
    process.exitCode = 1
  }
}

function backendOf({ fullName }: Pick<TestCase, 'fullName'>): BackendName | undefined {
  return BACKEND_NAMES.find((each) => new RegExp(`, ${each}(,| >|$)`).test(fullName))
}

const sum = (cases: Cases): number => [...cases.values()].reduce((total, count) => total + count, 0)

function differences(cases: ReadonlyMap<BackendName, Cases>): string[] {
  const all = new Set([...cases.values()].flatMap((each) => [...each.keys()]))
  return [...all].flatMap((name) => {
    const counts = [...cases].map(([backend, counted]) => `${counted.get(name) ?? 0} on ${backend}`)
    const different = new Set([...cases.values()].map((counted) => counted.get(name) ?? 0)).size > 1
    return different ? [`${name}: ${counts.join(', ')}`] : []
  })
}

/** Prints at the end what the suites of faults have to show, and writes it into the table of docs/guarantees.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'
import { withFigures } from './guarantees.ts'
import type {} from './shown.ts'

export default class FiguresReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const figures = new Map<string, string[]>()
    const cases = new Map<string, string[]>()
    for (const module of modules) {
      const { relativeModuleId: file } = module
      // A failed module has no figures.
      if (!module.ok()) continue
      const tests = [...module.children.allTests()]
      const shown = tests.flatMap((test) => test.meta().shown ?? [])
      if (shown.length > 0) figures.set(file, shown)
      const passed = tests.filter((test) => test.result().state === 'passed').length
      if (passed > 0) cases.set(file, [`${passed} cases of ${basename(file, '.test.ts')}`])
    }
    if (figures.size > 0) console.log('\nWhat the faults came to:')
    for (const [file, lines] of figures) console.log(`  ${file}\n    ${lines.join('\n    ')}`)
    const { GUARANTEES: document } = process.env
    if (document === undefined) return
    writeFileSync(document, withFigures(readFileSync(document, 'utf8'), new Map([...cases, ...figures])))
    console.log(`\nWritten into ${document}.`)
  }
}

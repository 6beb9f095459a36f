/** Says at the end how many tests ran on each backend. */
import type { Reporter, TestModule } from 'vitest/node'
import { BACKEND_NAMES } from './backend-names.ts'

export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>(BACKEND_NAMES.map((name) => [name, 0]))
    for (const module of modules) {
      for (const test of module.children.allTests('passed')) {
        const name = BACKEND_NAMES.find((each) => new RegExp(`, ${each}(,| >|$)`).test(test.fullName))
        if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    }
    const lines = [...counts].map(([name, count]) => `  ${name}: ${count}`)
    console.log(
      `\nTests passed on each backend (some need what only a file, or only one writer, can show):\n${lines.join('\n')}\n`,
    )
  }
}

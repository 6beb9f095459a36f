/**
 * However large the file, the event loop goes on while it is backed up, verified and restored: no turn computes for long.
 * Measured as the processor's time of this thread, which others on the machine do not change; the clock's is printed beside
 * that of a loop that does nothing.
 */
import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'

const MEGABYTES = bound('BACKUP_MB', { short: 12, long: 110 })
const LONGEST_MS = 150

interface Measured {
  turns: number
  /** The longest turn of the event loop, by the clock, and by the processor. */
  clockMs: number
  processorMs: number
}

async function measured(work: () => Promise<unknown>): Promise<Measured> {
  const found: Measured = { turns: 0, clockMs: 0, processorMs: 0 }
  let clock = performance.now()
  let processor = process.threadCpuUsage()
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(processor)
    found.processorMs = Math.max(found.processorMs, (user + system) / 1_000)
    found.clockMs = Math.max(found.clockMs, performance.now() - clock)
    found.turns++
    clock = performance.now()
    processor = process.threadCpuUsage()
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  await work()
  clearImmediate(next)
  return found
}

const rounded = ({ turns, clockMs, processorMs }: Measured): string =>
  `${turns} turns, the longest ${clockMs.toFixed(0)} ms, ${processorMs.toFixed(0)} ms computing`

/** Few large rows, and many small ones. */
const fillings = {
  'rows of a megabyte': (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      policyId: `p-${index}`,
      yamlContent: `# ${'x'.repeat(1_000_000)}`,
    })),
  'rows of 700 bytes': (count: number) =>
    Array.from({ length: count * 1_200 }, (_, index) => ({
      policyId: `p-${index}`,
      yamlContent: `# ${'x'.repeat(650)}`,
    })),
}

test.each(Object.entries(fillings))(
  `of a file of ${MEGABYTES} MB with %s`,
  { timeout: 300_000 },
  async (what, rows) => {
    using folder = temporaryFolder()
    await using store = await openStorage({ url: folder.file('mesh.db'), durability: 'normal' })
    await store.policies.createMany(rows(MEGABYTES))
    const control = await measured(() => new Promise((resolve) => setTimeout(resolve, 500)))
    const file = folder.file('mesh.backup')
    const target = folder.file('restored.db')
    const found = {
      'backed up': await measured(() => store.backup(file)),
      verified: await measured(() => verifyBackup(file)),
      restored: await measured(() => restoreBackup(file, target)),
      'restored over it': await measured(() => restoreBackup(file, target, { replace: true })),
    }
    const bytes = statSync(file).size
    expect(bytes).toBeGreaterThan(MEGABYTES * 700_000)
    console.log(`${(bytes / 1e6).toFixed(0)} MB, ${what}; nothing: ${rounded(control)}`)
    for (const [name, each] of Object.entries(found)) {
      console.log(`  ${name}: ${rounded(each)}`)
      expect(each.processorMs, name).toBeLessThan(LONGEST_MS)
      expect(each.turns, name).toBeGreaterThan(MEGABYTES)
    }
  },
)

/** Background jobs that are wanted soon. */
import { expect, test } from 'vitest'
import { Maintenance } from '../src/maintenance.ts'
import { gate } from './support/gate.ts'

/** So long that no run comes by itself. */
const NEVER_SECONDS = 86_400

test('a job that is wanted while it runs, runs once more', async () => {
  const twice = gate()
  let runs = 0
  const run = async (): Promise<void> => {
    runs++
    if (runs === 1) maintenance.soon('sweep')
    else twice.open()
  }
  const maintenance: Maintenance<'sweep'> = new Maintenance({ sweep: { name: 'sweep', run } }, NEVER_SECONDS)
  maintenance.start()
  maintenance.soon('sweep')
  // The timers keep no process running.
  const alive = setInterval(() => {}, 1_000)
  try {
    await twice.opened
    expect(runs).toBe(2)
  } finally {
    clearInterval(alive)
    maintenance.stop()
  }
})

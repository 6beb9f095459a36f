/** Plants mistakes in what the write queue does when COMMIT fails, which the test of disks must find. */
import type { Plugin } from 'rolldown'

const QUEUE = '/src/database/sqlite/write-queue.ts'
const REFUSED = '        for (const { write } of outcomes) write.reject(this.#named(error, write))\n'

/** How often a mistake was planted. */
export const planted = { count: 0 }

const plant = (name: string, code: string): Plugin => ({
  name,
  transform(source, id) {
    if (!id.endsWith(QUEUE)) return
    const parts = source.split(REFUSED)
    if (parts.length !== 2) throw new Error(`The write queue has ${parts.length - 1} places to plant the mistake in.`)
    planted.count++
    return parts.join(code)
  },
})

/** Says to each that it is done. */
export const acknowledgeRefused = plant(
  'acknowledge-refused',
  '        for (const { write, value } of outcomes) write.resolve(value as never)\n',
)

/** Refuses each, and does it again by itself until there is room. */
export const doRefusedAgain = plant(
  'do-refused-again',
  `${REFUSED}        for (const { write } of outcomes)
          this.#waiting.push({ ...write, resolve: () => {}, reject: () => {} })
`,
)

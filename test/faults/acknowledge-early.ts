import type { Plugin } from 'rolldown'

const QUEUE = '/src/database/sqlite/write-queue.ts'
/** Everything has run; the commit follows. */
const BEFORE_COMMIT = 'try {\n      this.commit()\n'
const PLANTED = `this.#take(outcomes.length)
    for (const { write, failed, value } of outcomes) {
      if (failed) write.reject(value)
      else write.resolve(value as never)
    }
    setTimeout(() => {
      this.#statements.commit.run()
      this.#nextTurn()
    }, 5)
    if (outcomes.length > 0) return undefined
    ${BEFORE_COMMIT}`

/**
 * Plants the mistake that the kill test must find: a write queue that acknowledges a batch, and commits it afterwards.
 * Throws if the queue's source is not the one that it knows.
 */
export const acknowledgeEarly: Plugin = {
  name: 'acknowledge-early',
  transform(code, id) {
    if (!id.endsWith(QUEUE)) return
    const parts = code.split(BEFORE_COMMIT)
    if (parts.length !== 2) throw new Error(`The write queue has ${parts.length - 1} places to plant the mistake in.`)
    planted.count++
    return parts.join(PLANTED)
  },
}

/** How often it was planted. */
export const planted = { count: 0 }

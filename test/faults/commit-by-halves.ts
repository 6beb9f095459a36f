/** Plants a mistake: a copy that commits what it has written so far. */
import type { Plugin } from 'rolldown'

/** In each target, what is done with rows. */
const PLACES: Readonly<Record<string, readonly [whole: string, halves: string]>> = {
  '/src/rows/sqlite-target.ts': [
    'for (const row of rows) insert.run(...row)\n',
    "for (const row of rows) insert.run(...row)\n        raw.exec('COMMIT; BEGIN IMMEDIATE')\n",
  ],
  '/src/rows/postgres-target.ts': [
    'this.#underWay = insert(this.#ask, table, rows)\n',
    "this.#underWay = insert(this.#ask, table, rows).then(() => this.#ask('COMMIT; BEGIN'))\n",
  ],
}

/** How often it was planted. */
export const planted = { count: 0 }

export const commitByHalves: Plugin = {
  name: 'commit-by-halves',
  transform(source, id) {
    const [, place] = Object.entries(PLACES).find(([file]) => id.endsWith(file)) ?? []
    if (place === undefined) return
    const parts = source.split(place[0])
    if (parts.length !== 2) throw new Error(`${id} has ${parts.length - 1} places to plant the mistake in.`)
    planted.count++
    return parts.join(place[1])
  },
}

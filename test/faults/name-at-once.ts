/** Plants a mistake: a backup that is written under its own name. */
import type { Plugin } from 'rolldown'

const COPY = '/src/backup/new-file.ts'
const CHANGES: readonly (readonly [sound: string, mistaken: string])[] = [
  ['  const partial = partialOf(file)\n', '  const partial = file\n'],
  ['      publish(partial, file)\n', ''],
  ["for (const rest of ['', ...SIDECARS]) discard", 'for (const rest of SIDECARS) discard'],
]

/** How often it was planted. */
export const planted = { count: 0 }

export const nameAtOnce: Plugin = {
  name: 'name-at-once',
  transform(source, id) {
    if (!id.endsWith(COPY)) return
    planted.count++
    return CHANGES.reduce((code, [sound, mistaken]) => {
      const parts = code.split(sound)
      if (parts.length !== 2) throw new Error(`There are ${parts.length - 1} places of ${sound.trim()}.`)
      return parts.join(mistaken)
    }, source)
  },
}

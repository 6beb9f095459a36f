/** Remembers the values that were given to the library, and looks for them in what comes out of it. */

import { StorageError } from '../../src/index.ts'
import { bytesOf, formsOf, textOf } from './texts.ts'
import { stringsOf } from './values.ts'

/** The youngest are remembered: the older ones belong to cases that are over. */
const REMEMBERED = 200

/** Words of refusals, which may also occur in the values given. */
const WORDS_OF_REFUSALS = 'multiline implicit key, is not a known property'

/** Names that an inspection shows of any function: random values may consist of them. */
const NAMES_OF_JAVASCRIPT = 'arguments, caller, constructor, prototype'

/** The text of an error, an object and a function that hold nothing. */
const OF_EVERYTHING = [
  WORDS_OF_REFUSALS,
  NAMES_OF_JAVASCRIPT,
  new StorageError('CONFLICT', '', { cause: new Error() }),
  { some: class {}, later: async (): Promise<void> => {} },
]
  .map(textOf)
  .join()

interface Given {
  readonly call: string
  readonly forms: readonly string[]
}

export interface Looked {
  errors: number
  events: number
}

export class Canary {
  /** The places where a given value was seen. */
  readonly leaks: string[] = []
  readonly looked: Looked = { errors: 0, events: 0 }
  readonly #secrets: readonly string[]
  readonly #values = new Map<string, Given>()
  readonly #names = new Map<string, undefined>()
  readonly #harmless = new Set<string>()

  /** `secrets` are looked for everywhere, whatever is given. */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets
  }

  /** Before the call: its values may be in events while it runs. */
  give(call: string, args: readonly unknown[]): void {
    const { values, names } = stringsOf(args)
    for (const name of names) remember(this.#names, name, undefined)
    for (const value of values) {
      if (OF_EVERYTHING.includes(value)) continue
      remember(this.#values, value, { call, forms: this.#values.get(value)?.forms ?? formsOf(value) })
    }
  }

  error(where: string, error: unknown): void {
    this.looked.errors++
    this.look(where, error)
  }

  /** Looks at an event of a tracing channel. Most of it is a name and numbers, and there are very many. */
  event(where: string, event: object, ofTheLibrary: (error: unknown) => boolean): void {
    this.looked.events++
    const { error, ...rest } = event as { error?: unknown }
    if (error !== undefined && ofTheLibrary(error)) this.look(where, error)
    for (const key of Reflect.ownKeys(rest)) {
      const member: unknown = Reflect.get(rest, key)
      if (typeof member === 'number' || typeof member === 'boolean' || member === undefined) continue
      if (typeof key === 'string' && typeof member === 'string') this.#lookAtName(where, member)
      else this.look(where, rest)
    }
  }

  /** The same name comes again and again: it is looked at once in a while. */
  #lookAtName(where: string, text: string): void {
    if (this.#harmless.has(text)) return
    if (!this.look(where, text)) this.#harmless.add(text)
  }

  /** Whether something was seen in it. */
  look(where: string, what: unknown): boolean {
    const text = typeof what === 'string' ? what : textOf(what)
    const hasBytes = text.includes('<Buffer')
    const found = this.#secrets.filter((secret) => text.includes(secret)).map(() => 'a password')
    for (const [value, { call, forms }] of this.#values) {
      if (!forms.some((form) => text.includes(form)) && !(hasBytes && text.includes(bytesOf(value)))) continue
      if (!this.#mayAppear(value)) found.push(`${value} of ${call}`)
    }
    if (found.length > 0) this.leaks.push(`${where} shows ${found.slice(0, 3).join('; ')}: ${text.slice(0, 600)}`)
    return found.length > 0
  }

  /** A part of an id, too. */
  #mayAppear(value: string): boolean {
    return [...this.#names.keys()].some((name) => name.includes(value))
  }

  /** After each case: what was seen in it. */
  take(): { leaks: string[]; looked: Looked } {
    const taken = { leaks: this.leaks.splice(0), looked: { ...this.looked } }
    Object.assign(this.looked, { errors: 0, events: 0 })
    this.#harmless.clear()
    return taken
  }
}

/** As the youngest; the oldest is forgotten. */
function remember<V>(into: Map<string, V>, key: string, value: V): void {
  into.delete(key)
  into.set(key, value)
  if (into.size <= REMEMBERED) return
  const [oldest = ''] = into.keys()
  into.delete(oldest)
}

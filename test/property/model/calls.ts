/** The outcomes of a random program's calls, one after the other. */
import { IDS, type Id, ON_NODES, type Operation, type Simple, type State } from '../calls.ts'

class Refused {
  readonly code: string

  constructor(code: string) {
    this.code = code
  }
}

/** A path may be gone that is in `paths`: changes of one moment may take effect after it. One that is not in it must be gone. */
export class Model {
  nodes = new Map<Id, [text: string, count: number]>()
  policies = new Map<Id, string>()
  paths = new Set<Id>()
  /** Rows that cannot be decoded. A save keeps what is broken in them. */
  broken: Set<Id>
  /** Rows that another session keeps locked. */
  readonly #locked: ReadonlySet<Id>

  constructor({ broken = [], locked = [] }: { broken?: Iterable<Id>; locked?: Iterable<Id> } = {}) {
    this.broken = new Set(broken)
    this.#locked = new Set(locked)
    for (const each of [...this.broken, ...this.#locked]) this.nodes.set(each, ['', 0])
  }

  get state(): readonly Omit<State, 'path'>[] {
    return IDS.map((each) => ({
      node: this.broken.has(each) ? 'CORRUPT' : this.nodes.get(each),
      policy: this.policies.get(each),
    }))
  }

  #copy(): Model {
    const copy = new Model({ broken: this.broken, locked: this.#locked })
    copy.nodes = new Map([...this.nodes].map(([key, [text, count]]) => [key, [text, count]]))
    copy.policies = new Map(this.policies)
    copy.paths = new Set(this.paths)
    return copy
  }

  /** The foreign key is checked at the commit: a later call of the transaction may have mended the row. */
  #isDeferred(): boolean {
    return [...this.nodes.values()].some(([text]) => text === 'defer')
  }

  #attempt(work: (on: Model) => unknown, committed: boolean): unknown {
    const copy = this.#copy()
    try {
      const result = work(copy)
      if (committed && copy.#isDeferred()) throw new Refused('CONFLICT')
      Object.assign(this, copy)
      return result
    } catch (error) {
      if (error instanceof Refused) return error.code
      throw error
    }
  }

  run(operation: Operation): unknown {
    return this.#attempt((on) => {
      if (operation.kind === 'turn') return undefined
      if (operation.kind === 'clear') return void on.paths.clear()
      if (operation.kind !== 'transaction') return on.#simple(operation)
      const results = operation.calls.map((call) => on.#attempt((inner) => inner.#simple(call), false))
      if (operation.fails) throw new Refused('MINE')
      return results
    }, true)
  }

  #put(key: Id, text: string): string[] {
    if (isRefused(text)) throw new Refused('CONFLICT')
    if (this.broken.has(key)) throw new Refused('CORRUPT')
    const before = this.nodes.get(key)
    if (before !== undefined && before[0] !== text) this.paths.delete(key)
    this.nodes.set(key, [text, before?.[1] ?? 0])
    return [text]
  }

  #there(key: Id): [text: string, count: number] {
    const found = this.nodes.get(key)
    if (found === undefined) throw new Refused('NOT_FOUND')
    return found
  }

  #simple(call: Simple): unknown {
    if ('id' in call && this.#locked.has(call.id) && ON_NODES.has(call.kind)) throw new Refused('LOCKED')
    switch (call.kind) {
      case 'save':
        return this.#put(call.id, call.value)
      case 'create':
        if (!isRefused(call.value) && this.nodes.has(call.id)) throw new Refused('ALREADY_EXISTS')
        return this.#put(call.id, call.value)
      case 'update':
        this.#there(call.id)
        this.#put(call.id, call.value)
        return this.#there(call.id)[1]
      case 'count': {
        const found = this.#there(call.id)
        if (this.broken.has(call.id)) throw new Refused('CORRUPT')
        return ++found[1]
      }
      case 'delete':
        this.broken.delete(call.id)
        if (this.nodes.has(call.id)) this.paths.delete(call.id)
        return this.nodes.delete(call.id)
      case 'savePolicy':
        if (this.policies.get(call.id) !== `a: ${call.value}`) this.paths.clear()
        this.policies.set(call.id, `a: ${call.value}`)
        return `a: ${call.value}`
      case 'deletePolicy':
        if (this.policies.has(call.id)) this.paths.clear()
        return this.policies.delete(call.id)
      case 'setPath':
        return void this.paths.add(call.id)
      case 'deletePath':
        return void this.paths.delete(call.id)
      case 'saveMany':
        for (const each of call.ids) this.#put(each, call.value)
        return call.ids.length
      case 'createMany':
        if (isRefused(call.value)) throw new Refused('CONFLICT')
        if (call.ids.some((each) => this.nodes.has(each))) throw new Refused('ALREADY_EXISTS')
        for (const each of call.ids) this.#put(each, call.value)
        return call.ids.length
    }
  }
}

const isRefused = (text: string): boolean => text === 'refuse' || text === 'forbid'

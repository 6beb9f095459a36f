/** Copies of the source with a mistake in it, which the drills must find. */
import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TreeCopy } from '../../schema/tree-copy.ts'
import { ROOT } from './drill.ts'

interface Mistake {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** A subscriber goes on although other changes are at its place. */
export const FORGETFUL: Mistake = {
  file: 'src/database/postgres/change-log.ts',
  from: '(await digestOf(ask, place)) === place.digest',
  to: '(await digestOf(ask, place)) >= 0n',
}

/** Connections to a server that has lost its place are kept. */
export const LOYAL: Mistake = {
  file: 'src/database/postgres/hosts.ts',
  from: 'if (watched.at === at) internals(client).connection.stream.destroy()',
  to: '{}',
}

const OWN_TABLES = 'test/tables/app'

export class MistakenSource implements Disposable {
  readonly #copy = new TreeCopy()

  /** Throws if the source does not hold what is replaced. */
  constructor({ file, from, to }: Mistake) {
    mkdirSync(join(this.root, dirname(OWN_TABLES)), { recursive: true })
    cpSync(join(ROOT, OWN_TABLES), join(this.root, OWN_TABLES), { recursive: true })
    this.#copy.edit(file, from, to)
  }

  get root(): string {
    return this.#copy.root
  }

  [Symbol.dispose](): void {
    this.#copy[Symbol.dispose]()
  }
}

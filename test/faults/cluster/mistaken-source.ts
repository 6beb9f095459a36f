/** Copies of the source with a mistake in it, which the tests must find. */
import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TreeCopy } from '../../schema/tree-copy.ts'
import { ROOT } from './drill.ts'

interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

export type Mistake = readonly [Edit, ...Edit[]]

/** A subscriber goes on although other changes are at its place. */
export const FORGETFUL: Mistake = [
  {
    file: 'src/database/postgres/change-log.ts',
    from: '(await digestOf(ask, place)) === place.digest',
    to: '(await digestOf(ask, place)) >= 0n',
  },
]

/** Connections to a server that has lost its place are kept. */
export const LOYAL: Mistake = [
  { file: 'src/database/postgres/hosts.ts', from: 'if (watched.at === at) destroy(client)', to: '{}' },
]

/** A transaction's token is sent in the packet of its COMMIT, not in that of its first write. */
export const LATE_TOKEN: Mistake = [
  {
    file: 'src/database/postgres/connection.ts',
    from: "const mark = kind === 'write' ? savepoints.token?.ahead() : undefined",
    to: 'const mark = undefined',
  },
  {
    file: 'src/database/postgres/attempt.ts',
    from: 'await commit(open.connection, { readOnly })',
    to: 'await commit(open.connection, { readOnly, token })',
  },
  {
    file: 'src/database/postgres/session-control.ts',
    from: '{ readOnly }: { readOnly: boolean }',
    to: '{ readOnly, token }: any',
  },
  {
    file: 'src/database/postgres/session-control.ts',
    from: "command = await connection.control('COMMIT')",
    to: "await connection.packet('SELECT 1', [token.ahead()], 'COMMIT'); command = 'COMMIT'",
  },
]

const OWN_TABLES = 'test/tables/app'

export class MistakenSource implements Disposable {
  readonly #copy = new TreeCopy()

  /** Throws if the source does not hold what is replaced. */
  constructor(mistake: Mistake) {
    mkdirSync(join(this.root, dirname(OWN_TABLES)), { recursive: true })
    cpSync(join(ROOT, OWN_TABLES), join(this.root, OWN_TABLES), { recursive: true })
    for (const { file, from, to } of mistake) this.#copy.edit(file, from, to)
  }

  get root(): string {
    return this.#copy.root
  }

  [Symbol.dispose](): void {
    this.#copy[Symbol.dispose]()
  }
}

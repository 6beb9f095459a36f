/** Statements with which an application's migration would leave the transaction that it runs in. */
import { StorageError } from '../errors.ts'
import type { Migration } from './migrations.ts'

/** Comments, strings, quoted names and bodies between dollars, so that nothing in them counts; then words and punctuation. */
const TOKENS =
  /--[^\n]*|\/\*[\s\S]*?\*\/|e'[^'\\]*(?:\\[\s\S][^'\\]*)*'|'[^']*'|"[^"]*"|`[^`]*`|\$([a-z_]\w*)?\$[\s\S]*?\$\1\$|[\w$]+|[();]/gi
const WORD = /^\w+$/

/** The beginnings of statements that begin or end a transaction or a savepoint, on either dialect. */
const CONTROL = /^(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|ABORT|START TRANSACTION|PREPARE TRANSACTION)(?= |$)/

/** The words of each statement, in upper case. A trigger and a function with a body between BEGIN and END are one statement. */
function* statementsIn(sql: string): Generator<string> {
  let words: string[] = []
  let depth = 0
  let hasBody = false
  for (const [token] of sql.matchAll(TOKENS)) {
    if (token === '(') depth++
    else if (token === ')') depth--
    else if (WORD.test(token)) {
      words.push(token.toUpperCase())
      if (depth === 0 && words[0] === 'CREATE' && words.at(-1) === 'BEGIN') hasBody = true
    } else if (token === ';') {
      const [before, last] = words.slice(-2)
      // END of a CASE follows a word, and END of a body follows a semicolon.
      if (hasBody && !(last === 'END' && (before === ';' || before === 'ATOMIC'))) words.push(token)
      else {
        yield words.join(' ')
        words = []
        depth = 0
        hasBody = false
      }
    }
  }
  yield words.join(' ')
}

/**
 * Throws SCHEMA_MISMATCH before anything is run. What this does not recognize is noticed while the migration runs, as `LeftTransaction`.
 */
export function assertNoTransactionControl({ file, statements }: Migration): void {
  for (const sql of statements)
    for (const statement of statementsIn(sql)) {
      const [control] = CONTROL.exec(statement) ?? []
      if (control === undefined) continue
      throw new StorageError(
        'SCHEMA_MISMATCH',
        `${file} has ${control}, which would begin or end a transaction, or a part of one. Nothing was changed. Take it out: a migration runs in one transaction, and happens as a whole or not at all.`,
      )
    }
}

/** The migration ended the transaction that it ran in: nobody can say what of it is in the database. */
export class LeftTransaction extends StorageError {
  constructor({ file }: Migration, cause?: unknown) {
    super(
      'SCHEMA_MISMATCH',
      `${file} ended the transaction that it ran in. A part of it may be in the database, and it is not recorded as applied. Compare the database with the file, take out what ends the transaction, then migrate again.`,
      { cause },
    )
  }
}

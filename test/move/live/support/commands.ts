/** `meshstore move`, as an operator types it. */
import { documentOf, MAIN, type Ran, runCommand } from '../../../cli/support/command.ts'
import { eventually } from '../../../postgres/support/eventually.ts'
import { Program } from '../../../sqlite/support/program.ts'
import { asked } from './file.ts'

/** Whatever takes so long hangs. */
const HANGING_MS = 600_000
/** The last that it says when it has looked at everything. */
const BEGINS = 'From then on the file refuses writes.'

export class Commands {
  readonly #from: string
  readonly #to: string

  constructor(from: string, to: string) {
    this.#from = from
    this.#to = to
  }

  #words(...more: string[]): string[] {
    return ['move', '--from', this.#from, '--to', this.#to, '--wait', '60', ...more]
  }

  /** The whole line. */
  line(...more: string[]): [program: string, ...args: string[]] {
    return [process.execPath, MAIN, ...this.#words('--yes', ...more)]
  }

  start(...more: string[]): Program {
    const [program, ...args] = this.line(...more)
    return new Program(program, args)
  }

  /** Resolves when it has looked at everything, or has ended. */
  begun(program: Program): Promise<unknown> {
    return untilSo(program, async () => program.errors.includes(BEGINS))
  }

  /** Resolves when the file knows of the move, or the command has ended. */
  underWay(program: Program): Promise<unknown> {
    const sql = "SELECT 1 FROM meshstore_state WHERE name IN ('move', 'moved')"
    return untilSo(program, async () => (await asked(this.#from).query(sql)).length > 0)
  }

  /** To its end, with one document. */
  run(...more: string[]): Promise<Ran> {
    return runCommand(this.#words('--json', ...more), { timeoutMs: HANGING_MS })
  }

  async state(): Promise<unknown> {
    return documentOf(await this.run('--status')).state
  }
}

async function untilSo(program: Program, condition: () => Promise<boolean>): Promise<void> {
  let ended = false
  program.ended.then(() => {
    ended = true
  })
  await eventually('it has come so far', async () => ended || (await condition()), HANGING_MS)
}

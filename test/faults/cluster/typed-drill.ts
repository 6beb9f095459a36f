/** The program of docs/operations/cluster.md, as it stands. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { eventually } from '../../postgres/support/eventually.ts'
import { QUICK } from '../../support/quick.ts'
import { PATIENCE_MS } from './cluster.ts'
import { ROOT } from './drill.ts'

const PAGE = join(ROOT, 'docs/operations/cluster.md')

export class TypedDrill implements Disposable {
  readonly #folder = mkdtempSync(join(QUICK, 'meshstore-drill-'))
  readonly #child: ChildProcess
  readonly #url: string
  #output = ''

  private constructor(url: string) {
    this.#url = url
    const [, program] = /^```js\n(.*?)^```$/ms.exec(readFileSync(PAGE, 'utf8')) ?? []
    if (program === undefined) throw new Error(`${PAGE} has no program.`)
    writeFileSync(join(this.#folder, 'drill.mjs'), program)
    const installed = join(this.#folder, 'node_modules/meshstore')
    mkdirSync(installed, { recursive: true })
    writeFileSync(join(installed, 'package.json'), '{ "type": "module", "exports": "./index.js" }')
    writeFileSync(join(installed, 'index.js'), `export * from '${join(ROOT, 'src/index.ts')}'\n`)
    this.#child = spawn(process.execPath, ['drill.mjs'], {
      cwd: this.#folder,
      env: { ...process.env, MESH_URL: url },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk) => {
        this.#output += chunk
      })
  }

  static async start(url: string): Promise<TypedDrill> {
    const drill = new TypedDrill(url)
    try {
      await drill.progress(1)
      return drill
    } catch (error) {
      drill[Symbol.dispose]()
      throw error
    }
  }

  /** Resolves when so many more writes are in the database. */
  async progress(writes: number): Promise<void> {
    let enough: number | undefined
    await eventually(
      `the drill writes ${writes} times`,
      async () => {
        if (this.#child.exitCode !== null) throw new Error(`The drill has ended: ${this.#output}`)
        const counted = await this.#counted()
        enough ??= counted === undefined ? undefined : counted + writes
        return counted !== undefined && enough !== undefined && counted >= enough
      },
      PATIENCE_MS,
    )
  }

  /** From whichever server can say. */
  async #counted(): Promise<number | undefined> {
    const url = new URL(this.#url.replace(/@[^/]*,/, '@'))
    for (const host of (/@([^/]*)/.exec(this.#url)?.[1] ?? '').split(',')) {
      const client = new pg.Client({
        host: host.split(':')[0],
        port: Number(host.split(':')[1]),
        user: url.username,
        password: url.password,
        database: url.pathname.slice(1),
        connectionTimeoutMillis: 1_000,
      })
      client.on('error', () => {})
      try {
        await client.connect()
        const { rows } = await client.query("SELECT routes_discovered AS n FROM nodes WHERE node_id = 'drill'")
        if (rows[0] !== undefined) return Number(rows[0].n)
      } catch {
        // Another server, or later.
      } finally {
        await client.end().catch(() => {})
      }
    }
    return undefined
  }

  /** Ends it as Ctrl-C does. Returns what it printed. */
  async end(): Promise<string> {
    this.#child.kill('SIGINT')
    await eventually('the drill ends', () => this.#child.exitCode !== null, PATIENCE_MS)
    return this.#output
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
